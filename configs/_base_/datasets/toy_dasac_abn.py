# Toy world, game look to city look, as in DA-SAC's first stage: 6 source and 4 target images a
# step, with the same augmentation. A quarter of the images is smaller than a crop, and padded.
_base_ = './toy_dasac.py'
pipeline = [
    dict(type='LoadScaled', scales=(0.75, 1.75)),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomApply',
        prob=0.5,
        transforms=[
            dict(type='PILColorJitter', brightness=0.5, contrast=0.5, saturation=0.5, hue=0.1)
        ],
    ),
    dict(type='PaddedCrop', crop_size=(128, 256)),
    dict(type='PackDomain'),
]
train_dataloader = dict(
    dataset=dict(
        source=dict(pipeline=pipeline),
        target=dict(pipeline=pipeline),
        block=(3, 2),
        target_sampling=None,
    )
)
