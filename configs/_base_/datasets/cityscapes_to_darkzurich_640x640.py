# Cityscapes to Dark Zurich as in SePiCo: source crops of 640 x 640, rare class sampling.
_base_ = ['./loaders.py', './sources/cityscapes_640x640.py', './targets/darkzurich_day_night.py']
train_dataloader = dict(
    dataset=dict(
        source={{_base_.source}},
        target={{_base_.target}},
        rare_class_sampling=dict(
            data_root='data/cityscapes', class_temp=0.01, min_pixels=3000, min_crop_ratio=0.5
        ),
    )
)
val_dataloader = dict(dataset={{_base_.test_set}})
# Predictions for the test server are made with --format-only.
test_dataloader = dict(dataset={{_base_.server_set}})
