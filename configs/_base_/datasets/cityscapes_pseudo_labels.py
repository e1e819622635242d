# Cityscapes with pseudo-labels.
_base_ = ['./pseudo_labels.py', './targets/cityscapes_2048x1024.py']
train_dataloader = dict(
    dataset=dict(source=dict(data_prefix=dict(img_path='data/cityscapes/leftImg8bit/train')))
)
val_dataloader = dict(dataset={{_base_.test_set}})
test_dataloader = val_dataloader
