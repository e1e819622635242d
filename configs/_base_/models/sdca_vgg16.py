# DeepLab-v2 with VGG-16 as in FADA and SDCA. Caffe's weights: BGR in 0..255 minus the mean.
data_preprocessor = dict(
    type='UDADataPreProcessor', mean=(103.939, 116.779, 123.68), std=(1.0, 1.0, 1.0), to_bgr=True
)
segmentor = dict(
    type='Segmentor',
    pretrained='pretrained/vgg16-00b39a1b.pth',
    backbone=dict(type='DilatedVGG16'),
    decode_head=dict(
        type='DLV2Head',
        in_channels=1024,
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
