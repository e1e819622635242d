# CaCo's training on the source: multi-level DeepLab-v2 with ResNet-101, GTA to Cityscapes.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/gta_to_cityscapes_whole_uniform.py',
    '../_base_/models/multi_level_r101.py',
    '../_base_/uda/source_only.py',
    '../_base_/schedules/sgd_poly_caco_120k.py',
]
model = dict(
    segmentor={{_base_.segmentor}},
    data_preprocessor={{_base_.data_preprocessor}},
    channel_shuffle='published',
)
train_dataloader = dict(dataset=dict(target=None))  # no target image is read
