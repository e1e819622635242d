# As deeplabv2_r18_bn.py; batch norm keeps its running statistics.
_base_ = './deeplabv2_r18_bn.py'
segmentor = dict(backbone=dict(norm_eval=True))
