# SDCA's training on the source. The Lovász loss takes two images at a time, as one published GPU
# did.
_base_ = './sdca_supervised.py'
model = dict(segmentor=dict(lovasz_images=2))
