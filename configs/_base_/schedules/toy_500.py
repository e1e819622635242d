# A short schedule for the toy world, from scratch on the CPU: 500 iterations.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='UDAOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(custom_keys=dict(norm=dict(decay_mult=0.0))),
)
param_scheduler = [dict(type='WarmupPolyLR', warmup_iters=50, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=500, val_interval=500)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
