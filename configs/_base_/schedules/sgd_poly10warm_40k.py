# SGD at one rate for all parameters, linear warm-up over 1500 iterations times a linear decay to 0.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='UDAOptimWrapperConstructor',
    optimizer=dict(type='SGD', lr=0.0025, momentum=0.9, weight_decay=5e-4),
)
param_scheduler = [
    dict(type='WarmupPolyLR', power=1.0, warmup_iters=1500, warmup_ratio=1e-6, by_epoch=False)
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=40000, val_interval=4000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
