# Cityscapes to Dark Zurich by night, crops of 512 x 512.
_base_ = ['./loaders.py', './sources/cityscapes_512x512.py', './targets/darkzurich_512x512.py']
train_dataloader = dict(dataset=dict(source={{_base_.source}}, target={{_base_.target}}))
val_dataloader = dict(dataset={{_base_.test_set}})
test_dataloader = val_dataloader
