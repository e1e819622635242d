# HRDA with DAFormer's network: context of 1024 x 1024 at half resolution, details of 512 x 512.
_base_ = './daformer_mitb5.py'
segmentor = dict(
    type='HRDASegmentor',
    decode_head=dict(
        _delete_=True,
        type='HRDAHead',
        head={{_base_.segmentor.decode_head}},
        attention_channels=256,
        attention_classwise=True,
    ),
    detail_size=(512, 512),
    context_scale=0.5,
    feature_scale='context',
    hr_loss_weight=0.1,
    test_cfg=dict(
        _delete_=True,
        mode='slide',
        crop_size=(1024, 1024),
        stride=(512, 512),
        batched_slide=True,
    ),
)
