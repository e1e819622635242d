# CaCo's fine-tuning: crops of 512 x 256 of Cityscapes with pseudo-labels, plain and augmented, and
# unlabelled crops of the same images. The published training has three processes, so that batch
# norm has the statistics of 3 images; with one process it has those of all 9.
_base_ = ['./loaders.py', './targets/cityscapes_1024x512.py']
total_batch_size = 9
train_dataloader = dict(
    dataset=dict(
        source=dict(
            type='PseudoLabelDataset',
            data_prefix=dict(
                img_path='data/cityscapes/leftImg8bit/train',
                seg_map_path='made/by/the/stage/before',  # set by the experiment
            ),
            pipeline=[
                dict(
                    type='PairedCrop',
                    size=(1280, 640),
                    crop_size=(256, 512),
                    scales=(0.8, 1.2),
                    augment=[dict(type='AutoAugment')],
                    flip=0.5,
                ),
                dict(type='PackDomain'),
            ],
        ),
        target=dict(
            type='CityscapesDataset',
            data_root='data/cityscapes',
            data_prefix=dict(img_path='leftImg8bit/train'),
            pipeline=[  # half of the size, 1024 x 512
                dict(type='ScaleCrop', scales=(0.5, 0.5), crop_size=(256, 512)),
                dict(type='PackDomain'),
            ],
        ),
    ),
)
val_dataloader = dict(dataset={{_base_.test_set}})
test_dataloader = val_dataloader
