# Images with pseudo-labels of the previous stage, randomly rescaled.
_base_ = './loaders.py'
train_dataloader = dict(
    dataset=dict(
        source=dict(
            type='PseudoLabelDataset',
            data_prefix=dict(seg_map_path='made/by/the/stage/before'),  # set by the experiment
            pipeline=[
                dict(type='ScaleCrop', scales=(0.5, 1.5), crop_size=(512, 1024)),
                dict(type='RandomFlip', prob=0.5),
                dict(type='PackDomain'),
            ],
        )
    )
)
