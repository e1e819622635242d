# DAFormer's network with a projection head on all stages for pixel contrast.
_base_ = './daformer_mitb5.py'
segmentor = dict(
    auxiliary_head=dict(
        type='ProjectionHead',
        in_channels=[64, 128, 320, 512],
        in_index=[0, 1, 2, 3],
        input_transform='resize_concat',
        channels=512,
    )
)
