# Toy world in high resolution, game look to city look: whole images of 256 x 512. The source's
# colours vary, without which a small network from scratch learns little that holds in the city.
_base_ = './toy_game_to_city.py'
GAME, CITY = 'data/toy_hr/gta', 'data/toy_hr/cityscapes'
source_pipeline = [
    dict(type='LabelFirstCrop', scale=(512, 256), crop_size=(256, 512)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PILColorJitter', brightness=0.5, contrast=0.5, saturation=0.5, hue=0.2),
    dict(
        type='RandomGrayscale', prob=0.2, keep_channels=True, channel_weights=(0.114, 0.587, 0.299)
    ),
    dict(type='PackDomain'),
]
target_pipeline = [
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
        source=dict(data_root=GAME, pipeline=source_pipeline),
        target=dict(data_root=CITY, pipeline=target_pipeline),
    ),
)
val_dataloader = dict(dataset=dict(data_root=CITY, pipeline=test_pipeline))
test_dataloader = val_dataloader
