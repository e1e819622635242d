# HRDA around the small network of the toy world: context of the whole image at half resolution,
# details of a quarter of the image.
_base_ = './daformer_mitb0.py'
segmentor = dict(
    type='HRDASegmentor',
    decode_head=dict(
        _delete_=True,
        type='HRDAHead',
        head={{_base_.segmentor.decode_head}},
        attention_channels=64,
    ),
    detail_size=(64, 128),
    hr_loss_weight=0.1,
)
