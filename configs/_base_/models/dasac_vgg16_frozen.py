# DeepLab-v2, VGG-16 in DA-SAC's consistency training: batch norm keeps the running statistics
# of the baseline, which load_from brings.
_base_ = './dasac_vgg16.py'
segmentor = dict(pretrained=None, backbone=dict(norm_eval=True))
