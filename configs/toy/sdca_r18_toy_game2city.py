# Toy world, SDCA, stage 2: adaptation.
_base_ = [
    '../_base_/toy_runtime.py',
    '../_base_/datasets/toy_game_to_city_whole.py',
    '../_base_/models/deeplabv2_r18_lovasz.py',
    '../_base_/uda/sdca.py',
    '../_base_/schedules/toy_500.py',
]
model = dict(
    segmentor={{_base_.segmentor}},
    data_preprocessor={{_base_.data_preprocessor}},
    confidence=0.7,  # 300 iterations from scratch are too few for a network with 90 % confidence
)
source_pipeline = [
    dict(type='FixedResize', size=(256, 128)),
    dict(type='PILColorJitter', brightness=0.5, contrast=0.5, saturation=0.5, hue=0.2),
    dict(
        type='RandomGrayscale', prob=0.2, keep_channels=True, channel_weights=(0.114, 0.587, 0.299)
    ),
    dict(type='BlurThree', sigma=(0.1, 2.0)),
    dict(type='PackDomain'),
]
train_dataloader = dict(dataset=dict(source=dict(pipeline=source_pipeline)))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_iters=150, val_interval=150)
