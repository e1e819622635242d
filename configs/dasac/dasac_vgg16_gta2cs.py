# DA-SAC, stage 3: consistency training. VGG-16, GTA to Cityscapes, 69 epochs.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/dasac_gta.py',
    '../_base_/models/dasac_vgg16_frozen.py',
    '../_base_/uda/dasac_vgg16.py',
    '../_base_/schedules/sgd_constant_dasac_vgg16.py',
]
model = dict(
    segmentor={{_base_.segmentor}},
    data_preprocessor=dict(type='UDADataPreProcessor', source={{_base_.source_normalisation}}),
)
train_cfg = dict(max_iters=69 * 1125, val_interval=4 * 1125)
