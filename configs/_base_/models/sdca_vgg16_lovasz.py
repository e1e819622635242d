# SDCA's stages 1 and 2: with the Lovász loss.
_base_ = './sdca_vgg16.py'
segmentor = dict(lovasz_weight=0.75)
