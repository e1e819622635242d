# Toy world in high resolution, HRDA: the whole image at half resolution as context (the only input
# of daformer_r18_toyhr_game2city.py), and details of 128 x 256.
_base_ = [
    '../_base_/toy_runtime.py',
    '../_base_/datasets/toyhr_game_to_city.py',
    '../_base_/models/hrda_deeplabv2_r18.py',
    '../_base_/uda/dacs.py',
    '../_base_/schedules/toy_500.py',
]
model = dict(
    segmentor={{_base_.segmentor}},
    data_preprocessor={{_base_.data_preprocessor}},
    threshold=0.8,  # as in daformer_r18_toyhr_game2city.py
    blur=False,
)
train_dataloader = dict(
    dataset=dict(
        # 200 pixels of the class in a crop
        rare_class_sampling=dict(
            data_root='data/toy_hr/gta', class_temp=0.1, min_pixels=400, min_crop_ratio=0.5
        )
    )
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
