# Toy world, DA-SAC, stage 3: consistency training.
_base_ = [
    '../_base_/toy_runtime.py',
    '../_base_/datasets/toy_dasac.py',
    '../_base_/models/deeplabv2_r18_bn_frozen.py',
    '../_base_/uda/dasac.py',
    '../_base_/schedules/toy_500.py',
]
model = dict(
    segmentor={{_base_.segmentor}},
    data_preprocessor=dict(type='UDADataPreProcessor', source={{_base_.source_normalisation}}),
    teacher=dict(alpha=0.9, interval=10),
    epoch_length=100,
    target_weight=2.0,
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_iters=400, val_interval=400)
