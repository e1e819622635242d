# HRDA with the small DeepLab-v2: context of 256 x 512 at half resolution, details of 128 x 256.
_base_ = './deeplabv2_r18.py'
segmentor = dict(
    type='HRDASegmentor',
    decode_head=dict(_delete_=True, type='HRDAHead', head={{_base_.segmentor.decode_head}}),
    detail_size=(128, 256),
)
