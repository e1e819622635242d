# FADA: class-wise adversarial adaptation of features. The discriminator has its own optimiser and
# schedule, which configs combine with the student's.
model = dict(type='ClassAdversarial', weight=0.001, cap=0.9)
discriminator = dict(
    type='OptimWrapper',
    constructor='UDAOptimWrapperConstructor',
    optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)),
)
discriminator_schedule = [dict(type='WarmupPolyLR', power=0.9, end=62500, by_epoch=False)]
