# FCN-8s as in DA-SAC: VGG-16 with batch norm, initialised from torchvision's weights. Sides of
# images must be multiples of 32.
data_preprocessor = dict(type='UDADataPreProcessor')
segmentor = dict(
    type='Segmentor',
    pretrained='pretrained/vgg16_bn-6c64b313.pth',
    backbone=dict(type='VGG16BNPools', norm_eval=False),
    decode_head=dict(type='FCN8Head', num_classes=19, norm_eval=False),
)
