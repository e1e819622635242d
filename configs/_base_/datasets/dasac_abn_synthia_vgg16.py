# As dasac_abn_synthia.py with VGG-16: 16 source and 2 target images a step, weaker colour jitter.
_base_ = './dasac_abn_synthia.py'
total_batch_size = 2  # blocks of all processes
colours = dict(
    type='RandomApply',
    prob=0.5,
    transforms=[dict(type='PILColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.4)],
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
        block=(8, 1),
    )
)
