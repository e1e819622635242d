# SYNTHIA as whole images of 1280 x 760, in its 16 classes: terrain, truck and train are 255.
source = dict(
    type='SYNTHIADataset',
    data_root='data/synthia',
    data_prefix=dict(img_path='RGB', seg_map_path='GT/LABELS'),
    metainfo=dict(
        classes=[
            *('road', 'sidewalk', 'building', 'wall', 'fence', 'pole'),
            *('traffic light', 'traffic sign', 'vegetation', 'sky', 'person', 'rider'),
            *('car', 'bus', 'motorcycle', 'bicycle'),
        ]
    ),
    pipeline=[dict(type='FixedResize', size=(1280, 760)), dict(type='PackDomain')],
)
