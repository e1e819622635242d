# As sdca_vgg16_lovasz.py with SYNTHIA's 16 classes.
_base_ = './sdca_vgg16_lovasz.py'
segmentor = dict(decode_head=dict(num_classes=16))
