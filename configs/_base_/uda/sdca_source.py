# SDCA's training on the source, with the Lovász loss over the images of a published process: two.
_base_ = './sdca_supervised.py'
model = dict(segmentor=dict(lovasz_images=2))
