# DeepLab-v2, small, for the toy world: a ResNet-18 of half the width at output stride 8 with group
# norm, which needs no ImageNet weights, and an ASPP whose dilations fit maps of 16 x 32.
data_preprocessor = dict(type='UDADataPreProcessor')
segmentor = dict(
    type='Segmentor',
    backbone=dict(
        type='ResNetV1c',
        depth=18,
        stem_channels=32,
        base_channels=32,
        num_stages=4,
        out_indices=(3,),
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        contract_dilation=True,
        norm_cfg=dict(type='GN', num_groups=8, requires_grad=True),
        style='pytorch',
    ),
    decode_head=dict(
        type='DLV2Head',
        in_channels=256,
        in_index=0,
        dilations=(1, 3, 6),
        num_classes=19,
        align_corners=True,
        random_bias=True,
    ),
    average='valid',
    test_cfg=dict(mode='whole', direct=True),
)
