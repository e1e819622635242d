# Toy world in high resolution, source only at half resolution.
_base_ = [
    '../_base_/toy_runtime.py',
    '../_base_/datasets/toyhr_game_to_city_half.py',
    '../_base_/models/deeplabv2_r18.py',
    '../_base_/uda/source_only.py',
    '../_base_/schedules/toy_500.py',
]
model = dict(segmentor={{_base_.segmentor}}, data_preprocessor={{_base_.data_preprocessor}})
train_dataloader = dict(dataset=dict(target=None))  # no target image is read
optim_wrapper = dict(optimizer=dict(lr=1e-3))
