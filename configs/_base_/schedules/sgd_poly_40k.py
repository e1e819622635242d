# SDCA's schedule for adaptation: half the rate, decay over 62500 iterations, stopped after 40000.
_base_ = './sgd_poly_20k.py'
optim_wrapper = dict(optimizer=dict(lr=2.5e-4))
param_scheduler = [dict(type='WarmupPolyLR', power=0.9, end=62500, by_epoch=False)]
train_cfg = dict(max_iters=40000)
