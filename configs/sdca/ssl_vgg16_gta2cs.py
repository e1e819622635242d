# SDCA, stage 3: a new network learns the pseudo-labels. VGG-16, GTA to Cityscapes.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/cityscapes_pseudo_labels.py',
    '../_base_/models/sdca_vgg16.py',
    '../_base_/uda/source_only.py',
    '../_base_/schedules/sgd_poly_20k.py',
]
model = dict(segmentor={{_base_.segmentor}}, data_preprocessor={{_base_.data_preprocessor}})
total_batch_size = 8
default_hooks = dict(checkpoint=dict(interval=1000, keep=20))
