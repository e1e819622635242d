# Toy world, game look to city look, as in DA-SAC's first stage: 4 source and 4 target images a
# step, with the same augmentation. Images that are smaller than a crop are padded.
_base_ = './toy_dasac.py'
pipeline = [
    dict(type='LoadScaled', scales=(0.4, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomApply',
        prob=0.5,
        transforms=[
            dict(type='PILColorJitter', brightness=0.5, contrast=0.5, saturation=0.5, hue=0.1)
        ],
    ),
    dict(type='PaddedCrop', crop_size=(64, 128)),
    dict(type='PackDomain'),
]
total_batch_size = 2  # blocks of all processes
train_dataloader = dict(
    dataset=dict(
        source=dict(pipeline=pipeline),
        target=dict(pipeline=pipeline),
        block=(2, 2),
        target_sampling=None,
    )
)
