# DA-SAC, stage 3: consistency training. ResNet-101, SYNTHIA to Cityscapes, 74 epochs.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/dasac_synthia.py',
    '../_base_/models/dasac_r101_frozen.py',
    '../_base_/uda/dasac.py',
    '../_base_/schedules/sgd_constant_dasac.py',
]
model = dict(
    segmentor={{_base_.segmentor}},
    data_preprocessor=dict(type='UDADataPreProcessor', source={{_base_.source_normalisation}}),
    epoch_length=1175,
)
train_cfg = dict(max_iters=74 * 1175, val_interval=4 * 1175)
