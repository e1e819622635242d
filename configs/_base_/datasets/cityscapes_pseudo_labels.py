# Cityscapes with pseudo-labels, in random sizes.
_base_ = ['./loaders.py', './targets/cityscapes_2048x1024.py']
train_dataloader = dict(
    dataset=dict(
        source=dict(
            type='PseudoLabelDataset',
            data_prefix=dict(
                img_path='data/cityscapes/leftImg8bit/train',
                seg_map_path='made/by/the/stage/before',  # see experiments/sdca.py
            ),
            pipeline=[
                dict(type='ScaleCrop', scales=(0.5, 1.5), crop_size=(512, 1024)),
                dict(type='RandomFlip', prob=0.5),
                dict(type='PackDomain'),
            ],
        )
    )
)
val_dataloader = dict(dataset={{_base_.test_set}})
test_dataloader = val_dataloader
