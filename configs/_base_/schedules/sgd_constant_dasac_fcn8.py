# As sgd_constant_dasac.py for FCN-8s: twice the rate.
_base_ = './sgd_constant_dasac.py'
optim_wrapper = dict(optimizer=dict(lr=5e-4))
