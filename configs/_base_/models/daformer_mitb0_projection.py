# The small network of the toy world with a projection head on all stages for pixel contrast.
segmentor = dict(
    type='Segmentor',
    backbone=dict(type='MiT', arch='b0', drop_path_rate=0.1),
    decode_head=dict(
        type='DAFormerHead',
        in_channels=[32, 64, 160, 256],
        in_index=[0, 1, 2, 3],
        channels=64,
        embed_dims=64,
        num_classes=19,
        dropout_ratio=0.1,
    ),
    auxiliary_head=dict(
        type='ProjectionHead',
        in_channels=[32, 64, 160, 256],
        in_index=[0, 1, 2, 3],
        input_transform='resize_concat',
        channels=128,
    ),
    test_cfg=dict(mode='whole'),
)
