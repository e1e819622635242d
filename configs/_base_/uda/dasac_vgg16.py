# As dasac.py for the networks with VGG-16.
_base_ = './dasac.py'
model = dict(lower=0.1, target_weight=2.0)
