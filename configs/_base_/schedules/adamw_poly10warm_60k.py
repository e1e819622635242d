# SePiCo's schedule by night, 60k iterations: AdamW, heads at ten times the rate, no decay for the encoder's norms,
# linear warm-up over 1500 iterations times a linear decay to 0 over all iterations.
max_iters = 60000
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='UDAOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(
        custom_keys=dict(
            head=dict(lr_mult=10.0),
            pos_block=dict(decay_mult=0.0),
            norm=dict(decay_mult=0.0),
        )
    ),
)
# mmengine spreads a schedule over end - begin - 1 steps, hence the + 1.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, begin=0, end=1500 + 1, by_epoch=False),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin=0, end=max_iters + 1, by_epoch=False),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=4000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
