# SYNTHIA to Cityscapes in SYNTHIA's 16 classes, whole images.
_base_ = ['./loaders.py', './sources/synthia_1280x760.py', './targets/cityscapes_16_1024x512.py']
train_dataloader = dict(
    dataset=dict(source={{_base_.source}}, target={{_base_.target}}, class_balanced_sampling=dict())
)
val_dataloader = dict(dataset={{_base_.test_set}})
test_dataloader = val_dataloader
val_evaluator = dict(subsets=dict(mIoU13=[0, 1, 2, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]))
test_evaluator = val_evaluator
