# Cityscapes with pseudo-labels of SYNTHIA's 16 classes, in random sizes.
_base_ = ['./loaders.py', './targets/cityscapes_16_2048x1024.py']
train_dataloader = dict(
    dataset=dict(
        source=dict(
            type='PseudoLabelDataset',
            metainfo=dict(classes={{_base_.classes}}),
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
val_evaluator = dict(subsets=dict(mIoU13=[0, 1, 2, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]))
test_evaluator = val_evaluator
