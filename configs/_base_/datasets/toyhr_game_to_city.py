# Toy world in high resolution, game look to city look: whole images of 256 x 512.
_base_ = './toy_game_to_city.py'
GAME, CITY = 'data/toy_hr/gta', 'data/toy_hr/cityscapes'
pipeline = [
    dict(type='LabelFirstCrop', scale=(512, 256), crop_size=(256, 512)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDomain'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=2,
    sampler=dict(batch_size=2),
    dataset=dict(
        source=dict(data_root=GAME, pipeline=pipeline),
        target=dict(data_root=CITY, pipeline=pipeline),
    ),
)
val_dataloader = dict(dataset=dict(data_root=CITY, pipeline=test_pipeline))
test_dataloader = val_dataloader
