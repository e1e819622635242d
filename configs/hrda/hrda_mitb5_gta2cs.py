# HRDA, MiT-B5, GTA to Cityscapes.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/gtaHR_to_cityscapesHR_1024x1024.py',
    '../_base_/models/hrda_mitb5.py',
    '../_base_/uda/hrda.py',
    '../_base_/schedules/adamw_poly10warm_40k.py',
]
model = dict(segmentor={{_base_.segmentor}})
train_dataloader = dict(
    dataset=dict(
        rare_class_sampling=dict(
            data_root='data/gta', class_temp=0.01, min_pixels=3000, min_crop_ratio=2.0
        )
    )
)
randomness = dict(seed=1)  # seed of the published run
