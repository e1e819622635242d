# Cross-City's Rio with pseudo-labels.
_base_ = ['./pseudo_labels.py', './targets/crosscity_rio.py']
train_dataloader = dict(
    dataset=dict(
        source=dict(img_suffix='.jpg', data_prefix=dict(img_path='data/crosscity/Rio/Images/Train'))
    )
)
val_dataloader = dict(dataset={{_base_.test_set}})
test_dataloader = val_dataloader
val_evaluator = dict(subsets=dict(mIoU13=[0, 1, 2, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18]))
test_evaluator = val_evaluator
