# As sdca_r101_bn.py with SYNTHIA's 16 classes.
_base_ = './sdca_r101_bn.py'
segmentor = dict(decode_head=dict(num_classes=16))
