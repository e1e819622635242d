# ADVENT's and CaCo's schedule: SGD, the classifiers at ten times the rate, polynomial decay over
# 250000 iterations, stopped after 120000. The published code lists parameters of the backbone
# several times in its optimiser, which with torch up to 1.4 updates them as often per step, so the
# backbone has about three times the nominal rate. With visits=1 in all groups it is plain SGD.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='UDAOptimWrapperConstructor',
    optimizer=dict(
        type='RepeatedSGD', lr=2.5e-4, momentum=0.9, weight_decay=5e-4, accumulate_decay=True
    ),
    paramwise_cfg=dict(
        custom_keys={
            'backbone.layer': dict(visits=3),
            'backbone*.downsample.*': dict(visits=4),
            'decode_head': dict(lr_mult=10.0),
            'level_heads': dict(lr_mult=10.0),
            'auxiliary_head': dict(lr_mult=10.0),
        }
    ),
)
param_scheduler = [dict(type='WarmupPolyLR', power=0.9, end=250000, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=120000, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
