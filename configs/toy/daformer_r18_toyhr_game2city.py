# Toy world in high resolution, DAFormer's self-training at half resolution (as published DAFormer
# on Cityscapes) with a small ResNet-18: the baseline of toy HRDA.
_base_ = [
    '../_base_/toy_runtime.py',
    '../_base_/datasets/toyhr_game_to_city_half.py',
    '../_base_/models/deeplabv2_r18.py',
    '../_base_/uda/dacs.py',
    '../_base_/schedules/toy_500.py',
]
model = dict(
    segmentor={{_base_.segmentor}},
    data_preprocessor={{_base_.data_preprocessor}},
    threshold=0.8,  # 500 iterations from scratch are too few for a teacher with 96.8 % confidence
    blur=False,  # published for crops of 512 pixels; here it would blur out small objects
)
train_dataloader = dict(
    dataset=dict(
        # 50 pixels of the class in a crop
        rare_class_sampling=dict(
            data_root='data/toy_hr/gta', class_temp=0.1, min_pixels=400, min_crop_ratio=0.125
        )
    )
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
