# HRDA with DeepLabV2. Its output stride is 8, so offsets of the detail crop are multiples of 16
# (box_divisor=8 gives the published ones, which cut cells of the context). Tested on whole images.
_base_ = './deeplabv2_r101.py'
segmentor = dict(
    type='HRDASegmentor',
    decode_head=dict(
        _delete_=True,
        type='HRDAHead',
        head={{_base_.segmentor.decode_head}},
        attention_classwise=True,
    ),
    detail_size=(512, 512),
    context_scale=0.5,
    feature_scale='context',
    hr_loss_weight=0.1,
)
