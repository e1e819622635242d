# Cityscapes to Rio (Cross-City), whole images; trained on 19 classes, compared on Cross-City's 13.
_base_ = ['./loaders.py', './sources/cityscapes_1024x512.py', './targets/crosscity_rio.py']
train_dataloader = dict(
    dataset=dict(source={{_base_.source}}, target={{_base_.target}}, class_balanced_sampling=dict())
)
val_dataloader = dict(dataset={{_base_.test_set}})
test_dataloader = val_dataloader
val_evaluator = dict(subsets=dict(mIoU13=[0, 1, 2, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18]))
test_evaluator = val_evaluator
