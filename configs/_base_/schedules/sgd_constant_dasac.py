# DA-SAC's optimiser: SGD at a constant rate, biases at twice the rate of weights and without decay,
# the head at ten times the rate. Each training sets its number of iterations.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='UDAOptimWrapperConstructor',
    optimizer=dict(type='SGD', lr=2.5e-4, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(
        custom_keys={
            'backbone*.bias': dict(lr_mult=2.0, decay_mult=0.0),
            'decode_head*.weight': dict(lr_mult=10.0),
            'decode_head*.bias': dict(lr_mult=20.0, decay_mult=0.0),
        }
    ),
)
param_scheduler = []
train_cfg = dict(type='IterBasedTrainLoop')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
