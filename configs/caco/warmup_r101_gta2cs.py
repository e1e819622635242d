# CaCo, stage 1: warm-up. Multi-level DeepLab-v2 with ResNet-101, GTA to Cityscapes. It starts from
# the network of source_only_r101_gta2cs.py (load_from, set by the experiment).
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/gta_to_cityscapes_whole_uniform.py',
    '../_base_/models/multi_level_r101.py',
    '../_base_/schedules/sgd_poly_caco_120k.py',
    '../_base_/uda/caco.py',
]
model = dict(segmentor={{_base_.segmentor}}, data_preprocessor={{_base_.data_preprocessor}})
optim_wrapper = dict(clip_grad=dict(max_norm=1.0))
