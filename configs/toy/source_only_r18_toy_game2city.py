# Toy world, source only: the control of DA-SAC, with the iterations of both of its trainings.
_base_ = [
    '../_base_/toy_runtime.py',
    '../_base_/datasets/toy_dasac_abn.py',
    '../_base_/models/deeplabv2_r18_bn.py',
    '../_base_/uda/source_only.py',
    '../_base_/schedules/toy_500.py',
]
model = dict(
    segmentor={{_base_.segmentor}},
    data_preprocessor=dict(type='UDADataPreProcessor', source={{_base_.source_normalisation}}),
)
train_dataloader = dict(dataset=dict(target=None))  # no target image is read
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_iters=900, val_interval=900)
