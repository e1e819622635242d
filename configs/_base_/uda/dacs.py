# DACS: mean teacher, class mix, colour jitter and blur on mixed images.
model = dict(
    type='SelfTraining',
    alpha=0.99,
    threshold=0.968,
    jitter_strength=0.2,
    jitter_threshold=0.2,
    blur=True,
    addons=dict(),
)
