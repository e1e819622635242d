# SePiCo: self-training with pixel contrast against Gaussians of the classes (DistCL), memory banks
# of class means (variant 'bank', BankCL) or class means (variant 'proto', ProtoCL).
model = dict(
    type='SePiCo',
    alpha=0.999,
    threshold=0.968,
    jitter_strength=0.2,
    jitter_threshold=0.2,
    blur=True,
    crop_size=(640, 640),
    crop_max_ratio=0.75,
    start_iteration=3000,
    contrast=dict(
        variant='dist',
        temperature=100.0,
        regulariser=1.0,
        weight=1.0,
        min_ratio=0.75,
        bank_size=200,
    ),
    addons=dict(margins=dict(type='IgnoreMargins', top=15, bottom=120)),
)
