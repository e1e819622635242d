# SDCA, stage 3: a new network trained on pseudo-labels. ResNet-101, SYNTHIA to Cityscapes.
_base_ = [
    '../_base_/datasets/cityscapes_16_pseudo_labels.py',
    '../_base_/models/sdca_r101_bn_16.py',
    '../_base_/uda/sdca_self_supervision_r101.py',
]
model = dict(segmentor={{_base_.segmentor}}, data_preprocessor={{_base_.data_preprocessor}})
train_dataloader = dict(dataset=dict(source=dict(pipeline={{_base_.source_pipeline}})))
