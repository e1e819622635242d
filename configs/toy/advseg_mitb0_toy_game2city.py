# Toy world, AdvSeg.
_base_ = [
    '../_base_/toy_runtime.py',
    '../_base_/datasets/toy_game_to_city.py',
    '../_base_/models/daformer_mitb0.py',
    '../_base_/uda/advseg.py',
    '../_base_/schedules/toy_500.py',
]
model = dict(segmentor={{_base_.segmentor}})
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
