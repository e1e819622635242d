# DeepLab-v2 as in DA-SAC: Caffe's form of ResNet-101 at output stride 8 with trained batch norm,
# initialised from torchvision's weights, and an ASPP of four dilations.
data_preprocessor = dict(type='UDADataPreProcessor')
segmentor = dict(
    type='Segmentor',
    pretrained='pretrained/resnet101-5d3b4d8f.pth',
    backbone=dict(
        type='CaffeResNet',
        depth=101,
        out_indices=(3,),
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        norm_eval=False,
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
)
