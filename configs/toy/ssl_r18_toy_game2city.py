# Toy world, SDCA, stage 3: the pseudo-labels of the target. There are no ImageNet weights for this
# network, so it starts from those of stage 2.
_base_ = [
    '../_base_/toy_runtime.py',
    '../_base_/datasets/toy_city_pseudo_labels.py',
    '../_base_/models/deeplabv2_r18.py',
    '../_base_/uda/source_only.py',
    '../_base_/schedules/toy_500.py',
]
model = dict(segmentor={{_base_.segmentor}}, data_preprocessor={{_base_.data_preprocessor}})
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_iters=200, val_interval=200)
