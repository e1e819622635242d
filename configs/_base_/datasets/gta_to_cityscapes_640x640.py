# GTA to Cityscapes as in SePiCo: source crops of 640 x 640, rare class sampling.
_base_ = ['./loaders.py', './sources/gta_640x640.py', './targets/cityscapes_uncropped.py']
train_dataloader = dict(
    dataset=dict(
        source={{_base_.source}},
        target={{_base_.target}},
        rare_class_sampling=dict(
            data_root='data/gta', class_temp=0.01, min_pixels=3000, min_crop_ratio=0.5
        ),
    )
)
val_dataloader = dict(dataset={{_base_.test_set}})
test_dataloader = val_dataloader
