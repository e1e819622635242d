# DAFormer's network, small, for the toy world: MiT-B0 and a narrow head. No drop path, because 500
# iterations from scratch underfit.
segmentor = dict(
    type='Segmentor',
    backbone=dict(type='MiT', arch='b0', drop_path_rate=0.0),
    decode_head=dict(
        type='DAFormerHead',
        in_channels=[32, 64, 160, 256],
        in_index=[0, 1, 2, 3],
        channels=64,
        embed_dims=64,
        num_classes=19,
        dropout_ratio=0.1,
    ),
    test_cfg=dict(mode='whole'),
)
