# DeepLab-v2, ResNet-101 in DA-SAC's consistency training: batch norm keeps the running statistics
# of the baseline, which load_from brings.
_base_ = './dasac_r101.py'
segmentor = dict(pretrained=None, backbone=dict(norm_eval=True))
