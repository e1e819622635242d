# DAFormer, MiT-B5, Cityscapes to Dark Zurich.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/cityscapes_to_darkzurich_512x512.py',
    '../_base_/models/daformer_mitb5.py',
    '../_base_/uda/daformer.py',
    '../_base_/schedules/adamw_poly10warm_40k.py',
]
model = dict(segmentor={{_base_.segmentor}})
train_dataloader = dict(
    dataset=dict(
        rare_class_sampling=dict(
            data_root='data/cityscapes', class_temp=0.01, min_pixels=3000, min_crop_ratio=0.5
        )
    )
)
