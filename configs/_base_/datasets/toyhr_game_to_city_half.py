# Toy world in high resolution, game look to city look: whole images at half resolution, 128 x 256.
_base_ = './toyhr_game_to_city.py'
pipeline = [
    dict(type='LabelFirstCrop', scale=(256, 128), crop_size=(128, 256)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDomain'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 128), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    dataset=dict(source=dict(pipeline=pipeline), target=dict(pipeline=pipeline)),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
