# Toy world, HRDA: the self-training of daformer_mitb0_toy_game2city.py with the whole image of
# 128 x 256 at half resolution as context, and details of 64 x 128.
_base_ = [
    '../_base_/toy_runtime.py',
    '../_base_/datasets/toy_game_to_city.py',
    '../_base_/models/hrda_mitb0.py',
    '../_base_/uda/dacs.py',
    '../_base_/schedules/toy_500.py',
]
model = dict(
    segmentor={{_base_.segmentor}},
    threshold=0.8,  # this and blur as in daformer_mitb0_toy_game2city.py
    blur=False,
)
train_dataloader = dict(
    dataset=dict(
        rare_class_sampling=dict(
            data_root='data/toy/gta', class_temp=0.1, min_pixels=100, min_crop_ratio=0.5
        )
    )
)
