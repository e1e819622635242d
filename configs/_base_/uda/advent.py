# AdvEnt: adversarial adaptation of entropy maps, on both levels of a multi-level network. The
# discriminators have their own optimiser and schedule, which configs combine with the student's.
model = dict(type='AdvEnt', discriminator_loss='bce', weight=dict(main=1e-3, aux=2e-4))
discriminator = dict(
    type='OptimWrapper',
    constructor='UDAOptimWrapperConstructor',
    optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)),
)
discriminator_schedule = [dict(type='WarmupPolyLR', power=0.9, end=250000, by_epoch=False)]
