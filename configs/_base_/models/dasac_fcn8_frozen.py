# FCN-8s in DA-SAC's consistency training: batch norm keeps the running statistics of the baseline,
# which load_from brings.
_base_ = './dasac_fcn8.py'
segmentor = dict(pretrained=None, backbone=dict(norm_eval=True), decode_head=dict(norm_eval=True))
