# DeepLab-v2 as in FADA and SDCA: torchvision's ResNet-101 at output stride 8 with frozen batch norm
# without eps, and an ASPP of four dilations.
data_preprocessor = dict(type='UDADataPreProcessor')
segmentor = dict(
    type='Segmentor',
    pretrained='pretrained/resnet101-5d3b4d8f.pth',
    backbone=dict(
        type='ResNet',
        depth=101,
        num_stages=4,
        out_indices=(3,),
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        contract_dilation=True,
        norm_cfg=dict(type='FrozenBN', eps=0.0),
        norm_eval=False,
        style='pytorch',
        zero_init_residual=False,
    ),
    decode_head=dict(
        type='DLV2Head',
        in_channels=2048,
        in_index=0,
        dilations=(6, 12, 18, 24),
        num_classes=19,
        align_corners=True,
        random_bias=True,
    ),
    average='valid',
    lovasz_weight=0.0,
    test_cfg=dict(mode='whole', direct=True),
)
