# CaCo's warm-up: momentum network, dictionary of both domains, consistency of scales.
model = dict(
    type='CaCo',
    teacher=dict(alpha=0.999),
    contrast=dict(
        dictionary=dict(capacity=100, confidence=0.9, temperature=0.07, clamp=0.1),
        domains='both',
        weight=0.01,
        consistency=1.0,
        scales=(0.8, 1.2),
        wait=True,
    ),
    addons=dict(),
)
