# SDCA, stage 2: adaptation. ResNet-101, GTA to Cityscapes.
_base_ = [
    '../_base_/datasets/gta_to_cityscapes_whole_colours.py',
    '../_base_/models/sdca_r101_lovasz.py',
    '../_base_/uda/sdca_adaptation.py',
]
model = dict(segmentor={{_base_.segmentor}}, data_preprocessor={{_base_.data_preprocessor}})
