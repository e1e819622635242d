# DA-SAC's consistency training, which starts from a baseline: load_from is its checkpoint.
model = dict(
    type='DASAC',
    teacher=dict(alpha=0.99, interval=100),
    epoch_length=1125,  # iterations
    prior_momentum=0.99,
    beta=1e-3,
    upper=0.75,
    lower=0.2,
    focal_power=3,
    target_weight=5.0,
    confidence='batch',
)
load_optimizer = True  # the momentum buffers of load_from
