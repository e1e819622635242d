# DA-SAC, stage 3: consistency training. FCN-8s, SYNTHIA to Cityscapes, 58 epochs.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/dasac_synthia.py',
    '../_base_/models/dasac_fcn8_frozen.py',
    '../_base_/uda/dasac_vgg16.py',
    '../_base_/schedules/sgd_constant_dasac_fcn8.py',
]
model = dict(
    segmentor={{_base_.segmentor}},
    data_preprocessor=dict(type='UDADataPreProcessor', source={{_base_.source_normalisation}}),
    epoch_length=1175,
)
train_cfg = dict(max_iters=58 * 1175, val_interval=4 * 1175)
