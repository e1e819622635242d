# The night images of BDD100K's segmentation set, for `tools/test.py --test-set`. Its folder mixes
# all hours: data/bdd100k/night.txt lists the night images, one name per line without suffix.
test_set = dict(
    type='BDD100KNightDataset',
    data_root='data/bdd100k',
    data_prefix=dict(img_path='seg/images/val', seg_map_path='seg/labels/val'),
    ann_file='night.txt',
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(1280, 720), keep_ratio=True),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ],
)
