# Cityscapes to ACDC, crops of 1024 x 1024.
_base_ = ['./loaders.py', './sources/cityscapesHR_1024x1024.py', './targets/acdcHR_1024x1024.py']
train_dataloader = dict(dataset=dict(source={{_base_.source}}, target={{_base_.target}}))
val_dataloader = dict(dataset={{_base_.test_set}})
test_dataloader = val_dataloader
