# DeepLabV2 with all four dilations, and a projection head on the last stage for pixel contrast.
_base_ = './deeplabv2_r101.py'
segmentor = dict(
    decode_head=dict(dilations=(6, 12, 18, 24)),
    auxiliary_head=dict(type='ProjectionHead', in_channels=2048, in_index=3, channels=512),
)
