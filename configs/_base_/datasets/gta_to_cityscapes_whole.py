# GTA to Cityscapes, whole images.
_base_ = ['./loaders.py', './sources/gta_1280x720.py', './targets/cityscapes_1024x512.py']
train_dataloader = dict(
    dataset=dict(source={{_base_.source}}, target={{_base_.target}}, class_balanced_sampling=dict())
)
val_dataloader = dict(dataset={{_base_.test_set}})
test_dataloader = val_dataloader
