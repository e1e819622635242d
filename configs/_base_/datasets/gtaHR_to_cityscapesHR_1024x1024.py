# GTA to Cityscapes, crops of 1024 x 1024.
_base_ = ['./loaders.py', './sources/gtaHR_1024x1024.py', './targets/cityscapesHR_1024x1024.py']
train_dataloader = dict(dataset=dict(source={{_base_.source}}, target={{_base_.target}}))
val_dataloader = dict(dataset={{_base_.test_set}})
test_dataloader = val_dataloader
