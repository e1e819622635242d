# GTA as in DA-SAC's last stage: resized to 1914 x 1052, scaled, flipped, cropped. The published
# training has 9000 of the images 00001 to 10000 (list train_game_9K, for a FileListDataset).
source = dict(
    type='GTADataset',
    data_root='data/gta',
    data_prefix=dict(img_path='images', seg_map_path='labels'),
    pipeline=[
        dict(type='LoadScaled', size=(1914, 1052), scales=(0.5, 1.0)),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PaddedCrop', crop_size=(512, 1024)),
        dict(type='PackDomain'),
    ],
)
