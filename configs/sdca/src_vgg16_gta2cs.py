# SDCA, stage 1: supervised on the source, with the Lovász loss. VGG-16, GTA to Cityscapes.
_base_ = [
    '../_base_/datasets/gta_to_cityscapes_whole.py',
    '../_base_/models/sdca_vgg16_lovasz.py',
    '../_base_/uda/sdca_source.py',
]
model = dict(segmentor={{_base_.segmentor}}, data_preprocessor={{_base_.data_preprocessor}})
train_dataloader = dict(dataset=dict(target=None))  # no target image is read
