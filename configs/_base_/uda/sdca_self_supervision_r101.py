# SDCA's last stage with a ResNet-101: trained batch norm, colour augmentation.
_base_ = './sdca_supervised.py'
source_pipeline = [
    dict(type='ScaleCrop', scales=(0.5, 1.5), crop_size=(512, 1024)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PILColorJitter', brightness=0.5, contrast=0.5, saturation=0.5, hue=0.2),
    dict(
        type='RandomGrayscale', prob=0.2, keep_channels=True, channel_weights=(0.114, 0.587, 0.299)
    ),
    dict(type='BlurThree', sigma=(0.1, 2.0)),
    dict(type='PackDomain'),
]
sync_bn = 'torch'
