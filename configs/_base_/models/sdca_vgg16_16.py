# As sdca_vgg16.py with SYNTHIA's 16 classes.
_base_ = './sdca_vgg16.py'
segmentor = dict(decode_head=dict(num_classes=16))
