# GTA to Cityscapes, whole images without class-balanced sampling, one image of each domain a step.
_base_ = ['./loaders.py', './sources/gta_1280x720.py', './targets/cityscapes_1024x512.py']
train_dataloader = dict(
    batch_size=1,
    sampler=dict(batch_size=1),
    dataset=dict(source={{_base_.source}}, target={{_base_.target}}),
)
val_dataloader = dict(dataset={{_base_.test_set}})
test_dataloader = val_dataloader
