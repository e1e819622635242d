# SYNTHIA as in DA-SAC's last stage: scaled, flipped, cropped. (The published training has all
# images.)
source = dict(
    type='SYNTHIADataset',
    data_root='data/synthia',
    data_prefix=dict(img_path='RGB', seg_map_path='GT/LABELS'),
    pipeline=[
        dict(type='LoadScaled', scales=(0.5, 1.0)),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PaddedCrop', crop_size=(512, 1024)),
        dict(type='PackDomain'),
    ],
)
