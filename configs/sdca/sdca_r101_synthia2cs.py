# SDCA, stage 2: adaptation. ResNet-101, SYNTHIA to Cityscapes.
_base_ = [
    '../_base_/datasets/synthia16_to_cityscapes_whole_colours.py',
    '../_base_/models/sdca_r101_lovasz_16.py',
    '../_base_/uda/sdca_adaptation.py',
]
model = dict(segmentor={{_base_.segmentor}}, data_preprocessor={{_base_.data_preprocessor}})
