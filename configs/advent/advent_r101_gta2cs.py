# AdvEnt, multi-level DeepLab-v2 with ResNet-101, GTA to Cityscapes.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/gta_to_cityscapes_whole_uniform.py',
    '../_base_/models/multi_level_r101.py',
    '../_base_/uda/advent.py',
    '../_base_/schedules/sgd_poly_caco_120k.py',
]
model = dict(segmentor={{_base_.segmentor}}, data_preprocessor={{_base_.data_preprocessor}})
optim_wrapper = dict(
    _delete_=True,
    constructor='JointOptimWrapperConstructor',
    student={{_base_.optim_wrapper}},
    discriminator={{_base_.discriminator}},
)
param_scheduler = dict(
    _delete_=True,
    student={{_base_.param_scheduler}},
    discriminator={{_base_.discriminator_schedule}},
)
