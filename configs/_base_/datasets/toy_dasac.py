# Toy world, game look to city look, as in DA-SAC's last stage: 4 source images and 2 groups of 3
# target views a step. Images have the size of a crop, so source images are only enlarged.
_base_ = './toy_game_to_city.py'
# As in dasac_normalisation.py, from 60 training images of each look.
imagenet_mean, imagenet_std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
mean_s, std_s = [0.447, 0.454, 0.407], [0.220, 0.204, 0.247]
mean_t, std_t = [0.463, 0.479, 0.453], [0.171, 0.179, 0.172]
source_normalisation = dict(
    mean=[
        255 * (mean_s[rgb] - std_s[rgb] / std_t[rgb] * (mean_t[rgb] - imagenet_mean[rgb]))
        for rgb in range(3)
    ],
    std=[255 * std_s[rgb] / std_t[rgb] * imagenet_std[rgb] for rgb in range(3)],
)
source_pipeline = [
    dict(type='LoadScaled', scales=(1.0, 2.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PaddedCrop', crop_size=(128, 256)),
    dict(type='PackDomain'),
]
noise = [
    dict(type='PILBlur', radius=(0.1, 1.0)),
    dict(
        type='RandomApply',
        prob=0.5,
        transforms=[
            dict(type='PILColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
        ],
    ),
    dict(type='PILGrayscale', prob=0.2),
]
target_pipeline = [
    dict(type='LoadScaled', scales=(1.0, 1.1)),
    dict(type='PaddedCrop', crop_size=(128, 256)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='MakeViews', number=3, zoom=(0.5, 1.0), noise=noise),
    dict(type='PackDomain'),
]
total_batch_size = 2  # groups of all processes
train_dataloader = dict(
    dataset=dict(
        source=dict(pipeline=source_pipeline),
        target=dict(pipeline=target_pipeline),
        block=(2, 1),
        # the file of importance weights; None draws target images uniformly
        target_sampling=dict(weights=None, uniform_share=0.25),
    )
)
