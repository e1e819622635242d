# DeepLab-v2 as in DA-SAC: VGG-16 with batch norm at output stride 8, initialised from torchvision's
# weights, and an ASPP of four dilations.
data_preprocessor = dict(type='UDADataPreProcessor')
segmentor = dict(
    type='Segmentor',
    pretrained='pretrained/vgg16_bn-6c64b313.pth',
    backbone=dict(type='DilatedVGG16BN', norm_eval=False),
    decode_head=dict(
        type='DLV2Head',
        in_channels=1024,
        in_index=0,
        dilations=(6, 12, 18, 24),
        num_classes=19,
        align_corners=True,
        random_bias=True,
    ),
)
