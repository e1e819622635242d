# DAFormer's schedule: AdamW, heads at ten times the rate, no decay for the encoder's norms,
# linear warm-up over 1500 iterations times a linear decay to 0 over all iterations.
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
param_scheduler = [
    dict(
        type='WarmupPolyLR',
        power=1.0,
        min_lr=0.0,
        warmup_iters=1500,
        warmup_ratio=1e-6,
        by_epoch=False,
    )
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=40000, val_interval=4000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
