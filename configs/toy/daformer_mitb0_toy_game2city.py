# Toy world, DAFormer's self-training: rare class sampling and warm-up. There are no ImageNet
# weights for the toy network, so there is no feature distance; crops have no car hood to ignore.
_base_ = [
    '../_base_/toy_runtime.py',
    '../_base_/datasets/toy_game_to_city.py',
    '../_base_/models/daformer_mitb0.py',
    '../_base_/uda/dacs.py',
    '../_base_/schedules/toy_500.py',
]
model = dict(segmentor={{_base_.segmentor}})
train_dataloader = dict(
    dataset=dict(
        rare_class_sampling=dict(
            data_root='data/toy/gta', class_temp=0.01, min_pixels=100, min_crop_ratio=0.5
        )
    )
)
