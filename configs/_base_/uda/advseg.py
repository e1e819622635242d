# AdvSeg: output-space adversarial adaptation. The discriminator has its own optimiser and schedule,
# which configs combine with the student's.
model = dict(type='AdvSeg', discriminator_loss='mse', weight=0.001)
discriminator = dict(
    type='OptimWrapper',
    constructor='UDAOptimWrapperConstructor',
    optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)),
)
discriminator_schedule = [dict(type='WarmupPolyLR', power=0.9, min_lr=0.0, by_epoch=False)]
