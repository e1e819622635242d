# Cross-City's Rio with pseudo-labels, in random sizes.
_base_ = ['./loaders.py', './targets/crosscity_rio.py']
train_dataloader = dict(
    dataset=dict(
        source=dict(
            type='PseudoLabelDataset',
            img_suffix='.jpg',
            data_prefix=dict(
                img_path='data/crosscity/Rio/Images/Train',
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
val_evaluator = dict(subsets=dict(mIoU13=[0, 1, 2, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18]))
test_evaluator = val_evaluator
