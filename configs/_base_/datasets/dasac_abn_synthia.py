# SYNTHIA to Cityscapes as in DA-SAC's first stage with ResNet-101: 12 source and 8 target images a
# step, with the same augmentation.
_base_ = './dasac_synthia.py'
total_batch_size = 4  # blocks of all processes
colours = dict(
    type='RandomApply',
    prob=0.5,
    transforms=[dict(type='PILColorJitter', brightness=0.5, contrast=0.5, saturation=0.5, hue=0.5)],
)
train_dataloader = dict(
    dataset=dict(
        source=dict(
            pipeline=[
                dict(type='LoadScaled', scales=(0.5, 2.0)),
                dict(type='RandomFlip', prob=0.5),
                colours,
                dict(type='PaddedCrop', crop_size=(640, 640)),
                dict(type='PackDomain'),
            ]
        ),
        target=dict(
            pipeline=[
                dict(type='LoadScaled', scales=(0.5, 2.0)),
                dict(type='RandomFlip', prob=0.5),
                colours,
                dict(type='PaddedCrop', crop_size=(640, 640)),
                dict(type='PackDomain'),
            ]
        ),
        block=(3, 2),
        target_sampling=None,
    )
)
