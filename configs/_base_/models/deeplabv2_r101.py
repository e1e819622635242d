# DeepLabV2 as UDA papers use it: ResNet-101 (v1c stem, output stride 8) and an ASPP with
# only the dilations 6 and 12.
norm_cfg = dict(type='BN', requires_grad=True)
segmentor = dict(
    type='Segmentor',
    pretrained='pretrained/resnet101_v1c-e67eebb6.pth',
    backbone=dict(
        type='ResNetV1c',
        depth=101,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        contract_dilation=True,
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
    ),
    decode_head=dict(
        type='DLV2Head', in_channels=2048, in_index=3, dilations=(6, 12), num_classes=19
    ),
    test_cfg=dict(mode='whole'),
)
