# SDCA's stages 1 and 2: with the Lovász loss.
_base_ = './deeplabv2_r18.py'
segmentor = dict(lovasz_weight=0.75)
