# DeepLab-v2, small, for the toy world, with batch norm.
_base_ = './deeplabv2_r18.py'
segmentor = dict(
    backbone=dict(norm_cfg=dict(_delete_=True, type='BN', requires_grad=True)), average='all'
)
