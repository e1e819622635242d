# Toy world, SePiCo (DistCL), with contrast from iteration 100 of 500. Crops are as large as
# the images, so target images are used whole; there is no car hood to ignore.
_base_ = [
    '../_base_/toy_runtime.py',
    '../_base_/datasets/toy_game_to_city.py',
    '../_base_/models/daformer_mitb0_projection.py',
    '../_base_/uda/sepico.py',
    '../_base_/schedules/toy_500.py',
]
model = dict(
    segmentor={{_base_.segmentor}},
    alpha=0.99,
    threshold=0.8,  # this and blur as in daformer_mitb0_toy_game2city.py
    blur=False,
    crop_size=(128, 256),
    start_iteration=100,
    contrast=dict(variant='dist'),
    addons=dict(margins=None),
)
train_dataloader = dict(
    dataset=dict(
        rare_class_sampling=dict(
            data_root='data/toy/gta', class_temp=0.1, min_pixels=100, min_crop_ratio=0.5
        )
    )
)
