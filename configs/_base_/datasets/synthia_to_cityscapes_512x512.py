# SYNTHIA to Cityscapes, crops of 512 x 512.
_base_ = ['./loaders.py', './sources/synthia_512x512.py', './targets/cityscapes_512x512.py']
train_dataloader = dict(dataset=dict(source={{_base_.source}}, target={{_base_.target}}))
val_dataloader = dict(dataset={{_base_.test_set}})
test_dataloader = val_dataloader
# Scores over the classes that SYNTHIA labels: 16, without terrain, truck and train; 13, without
# wall, fence and pole as well.
val_evaluator = dict(
    subsets=dict(
        mIoU16=[0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18],
        mIoU13=[0, 1, 2, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18],
    )
)
test_evaluator = val_evaluator
