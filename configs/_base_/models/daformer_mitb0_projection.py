# The small network of the toy world with a projection head on all stages for pixel contrast.
_base_ = './daformer_mitb0.py'
segmentor = dict(
    auxiliary_head=dict(
        type='ProjectionHead',
        in_channels=[32, 64, 160, 256],
        in_index=[0, 1, 2, 3],
        input_transform='resize_concat',
        channels=128,
    )
)
