# SDCA, stage 3: a new network trained on pseudo-labels. VGG-16, GTA to Cityscapes.
_base_ = [
    '../_base_/datasets/cityscapes_pseudo_labels.py',
    '../_base_/models/sdca_vgg16.py',
    '../_base_/uda/sdca_supervised.py',
]
model = dict(segmentor={{_base_.segmentor}}, data_preprocessor={{_base_.data_preprocessor}})
