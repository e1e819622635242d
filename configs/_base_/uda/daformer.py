# DAFormer: DACS with a slower teacher, thing-class feature distance and ignored margins.
# Rare class sampling is in the data configs, the warm-up in the schedule.
model = dict(
    type='SelfTraining',
    alpha=0.999,
    threshold=0.968,
    jitter_strength=0.2,
    jitter_threshold=0.2,
    blur=True,
    addons=dict(
        feature_distance=dict(
            type='FeatureDistance',
            weight=0.005,
            classes=[6, 7, 11, 12, 13, 14, 15, 16, 17, 18],
            min_ratio=0.75,
        ),
        margins=dict(type='IgnoreMargins', top=15, bottom=120),
    ),
)
