# DA-SAC, stage 1: baseline with adaptive batch norm. FCN-8s, SYNTHIA to Cityscapes, 40 epochs.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/dasac_abn_synthia_vgg16.py',
    '../_base_/models/dasac_fcn8.py',
    '../_base_/uda/adaptive_batch_norm.py',
    '../_base_/schedules/sgd_constant_dasac_fcn8.py',
]
model = dict(
    segmentor={{_base_.segmentor}},
    data_preprocessor=dict(type='UDADataPreProcessor', source={{_base_.source_normalisation}}),
)
train_cfg = dict(max_iters=40 * 587, val_interval=10 * 587)
