# Toy world, DA-SAC, stage 1: baseline with adaptive batch norm.
_base_ = [
    '../_base_/toy_runtime.py',
    '../_base_/datasets/toy_dasac_abn.py',
    '../_base_/models/deeplabv2_r18_bn.py',
    '../_base_/uda/adaptive_batch_norm.py',
    '../_base_/schedules/toy_500.py',
]
model = dict(
    segmentor={{_base_.segmentor}},
    data_preprocessor=dict(type='UDADataPreProcessor', source={{_base_.source_normalisation}}),
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_iters=500, val_interval=500)
