# Toy world in high resolution (256 x 512), DAFormer's self-training at half of it (as the published
# DAFormer sees Cityscapes): what toy HRDA is compared with.
_base_ = './daformer_mitb0_toy_game2city.py'
GAME, CITY = 'data/toy_hr/gta', 'data/toy_hr/cityscapes'
train_dataloader = dict(
    batch_size=2,
    sampler=dict(batch_size=2),
    dataset=dict(
        source=dict(data_root=GAME),
        target=dict(data_root=CITY),
        # 50 pixels of the class in a crop
        rare_class_sampling=dict(data_root=GAME, min_pixels=400, min_crop_ratio=0.125),
    ),
)
val_dataloader = dict(dataset=dict(data_root=CITY))
test_dataloader = val_dataloader
