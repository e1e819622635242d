# SePiCo, DistCL, DeepLabV2, ResNet-101, Cityscapes to Dark Zurich.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/cityscapes_to_darkzurich_640x640.py',
    '../_base_/models/deeplabv2_r101_projection_night.py',
    '../_base_/uda/sepico.py',
    '../_base_/schedules/adamw_poly10warm_60k.py',
]
model = dict(
    segmentor={{_base_.segmentor}},
    addons=dict(
        margins=None,
        day=dict(
            type='DayPartner',
            ratio=0.8,
            classes=[0, 1, 2, 3, 4, 8, 9, 10],
            class_weight={{_base_.train_class_weight}},
        ),
    ),
)
randomness = dict(seed=42)
train_cfg = dict(val_interval=1000)
