# Multi-level DeepLab-v2 as in ADVENT and CaCo: Caffe's form of ResNet-101 at output stride 8 with
# Caffe's ImageNet weights, and a classifier on each of the last two stages. Weights and biases of
# batch norm are frozen; in training it normalises with the statistics of the batch.
data_preprocessor = dict(
    type='UDADataPreProcessor',
    to_bgr=True,
    mean=[104.00698793, 116.66876762, 122.67891434],
    std=[1.0, 1.0, 1.0],
)
segmentor = dict(
    type='MultiLevelSegmentor',
    pretrained='pretrained/DeepLab_resnet_pretrained_imagenet.pth',
    backbone=dict(
        type='CaffeResNet',
        depth=101,
        out_indices=(2, 3),
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=False,
    ),
    decode_head=dict(
        type='DLV2Head',
        in_channels=2048,
        in_index=1,
        dilations=(6, 12, 18, 24),
        num_classes=19,
        align_corners=True,
        random_bias=True,
    ),
    level_heads=dict(
        aux=dict(
            type='DLV2Head',
            in_channels=1024,
            in_index=0,
            dilations=(6, 12, 18, 24),
            num_classes=19,
            align_corners=True,
            random_bias=True,
        )
    ),
    level_weights=dict(aux=0.1),
    average='valid',
    test_cfg=dict(mode='whole', direct=True),
)
