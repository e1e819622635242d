# DAFormer's network with a projection head on all stages for pixel contrast.
segmentor = dict(
    type='Segmentor',
    pretrained='pretrained/mit_b5.pth',
    backbone=dict(type='MiT', arch='b5', drop_path_rate=0.1),
    decode_head=dict(
        type='DAFormerHead',
        in_channels=[64, 128, 320, 512],
        in_index=[0, 1, 2, 3],
        channels=256,
        embed_dims=256,
        num_classes=19,
        dropout_ratio=0.1,
    ),
    auxiliary_head=dict(
        type='ProjectionHead',
        in_channels=[64, 128, 320, 512],
        in_index=[0, 1, 2, 3],
        input_transform='resize_concat',
        channels=512,
    ),
    test_cfg=dict(mode='whole'),
)
