# SDCA: contrast of features and logits with the class distributions of the source.
model = dict(
    type='SDCA',
    confidence=0.9,
    temperature=100.0,
    feature_weight=1.0,
    output_weight=1.0,
    statistics=None,  # folder of the initial distributions
    reduce_statistics=True,
)
