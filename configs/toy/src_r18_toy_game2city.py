# Toy world, SDCA, stage 1: supervised on the source, with the Lovász loss.
_base_ = [
    '../_base_/toy_runtime.py',
    '../_base_/datasets/toy_game_to_city_whole.py',
    '../_base_/models/deeplabv2_r18_lovasz.py',
    '../_base_/uda/source_only.py',
    '../_base_/schedules/toy_500.py',
]
model = dict(segmentor={{_base_.segmentor}}, data_preprocessor={{_base_.data_preprocessor}})
train_dataloader = dict(dataset=dict(target=None))  # no target image is read
train_cfg = dict(max_iters=300, val_interval=300)
