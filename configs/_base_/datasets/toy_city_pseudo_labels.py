# Toy world: city look with pseudo-labels, randomly rescaled.
_base_ = ['./loaders.py', './targets/toy_city_whole.py']
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(batch_size=4),
    dataset=dict(
        source=dict(
            type='PseudoLabelDataset',
            data_prefix=dict(
                img_path='data/toy/cityscapes/leftImg8bit/train',
                seg_map_path='made/by/the/stage/before',  # set by the experiment
            ),
            pipeline=[
                dict(type='ScaleCrop', scales=(0.8, 1.5), crop_size=(128, 256)),
                dict(type='RandomFlip', prob=0.5),
                dict(type='PackDomain'),
            ],
        )
    ),
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset={{_base_.test_set}})
test_dataloader = val_dataloader
