# Toy world, DAFormer's self-training: rare class sampling and warm-up. There are no ImageNet
# weights for the toy network, so there is no feature distance; crops have no car hood to ignore.
_base_ = [
    '../_base_/toy_runtime.py',
    '../_base_/datasets/toy_game_to_city.py',
    '../_base_/models/daformer_mitb0.py',
    '../_base_/uda/dacs.py',
    '../_base_/schedules/toy_500.py',
]
model = dict(
    segmentor={{_base_.segmentor}},
    threshold=0.8,  # 500 iterations from scratch are too few for a teacher with 96.8 % confidence
    blur=False,  # published for crops of 512 pixels; here it would blur out small objects
)
train_dataloader = dict(
    dataset=dict(
        rare_class_sampling=dict(
            data_root='data/toy/gta', class_temp=0.1, min_pixels=100, min_crop_ratio=0.5
        )
    )
)
