# Toy world in high resolution, game look to city look: whole images at half of it, 128 x 256.
_base_ = './toyhr_game_to_city.py'
source_pipeline = [
    dict(type='LabelFirstCrop', scale=(256, 128), crop_size=(128, 256)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PILColorJitter', brightness=0.5, contrast=0.5, saturation=0.5, hue=0.2),
    dict(
        type='RandomGrayscale', prob=0.2, keep_channels=True, channel_weights=(0.114, 0.587, 0.299)
    ),
    dict(type='PackDomain'),
]
target_pipeline = [
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
    dataset=dict(source=dict(pipeline=source_pipeline), target=dict(pipeline=target_pipeline)),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
