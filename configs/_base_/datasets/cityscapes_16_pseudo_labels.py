# Cityscapes with pseudo-labels of SYNTHIA's 16 classes.
_base_ = ['./pseudo_labels.py', './targets/cityscapes_16_2048x1024.py']
train_dataloader = dict(
    dataset=dict(
        source=dict(
            metainfo=dict(classes={{_base_.classes}}),
            data_prefix=dict(img_path='data/cityscapes/leftImg8bit/train'),
        )
    )
)
val_dataloader = dict(dataset={{_base_.test_set}})
test_dataloader = val_dataloader
val_evaluator = dict(subsets=dict(mIoU13=[0, 1, 2, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]))
test_evaluator = val_evaluator
