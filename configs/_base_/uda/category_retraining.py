# CaCo's fine-tuning on the pseudo-labels of its warm-up, as published: keys of the plain crops by
# the labels of the augmented ones, and a pass on target images that only changes the running
# statistics of batch norm.
model = dict(
    type='CategoryRetraining',
    teacher=dict(alpha=0.999),
    dictionary=dict(capacity=100, temperature=0.07, clamp=0.1),
    weight=0.1,
    balance=dict(largest=7.0),
    key_labels='augmented',
    target_pass=True,
    addons=dict(),
)
