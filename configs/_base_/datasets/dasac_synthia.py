# SYNTHIA to Cityscapes as in DA-SAC's last stage. Classes that SYNTHIA lacks, terrain, truck and
# train, draw target images uniformly.
_base_ = [
    './loaders.py',
    './sources/synthia_dasac.py',
    './targets/cityscapes_dasac.py',
    './dasac_normalisation.py',
]
total_batch_size = 2  # groups of all processes
train_dataloader = dict(
    dataset=dict(
        source={{_base_.source}},
        target={{_base_.target}},
        block=(4, 1),
        # the file of importance weights; None draws target images uniformly
        target_sampling=dict(weights=None, uniform_share=0.25, uniform_classes=[9, 14, 16]),
    )
)
val_dataloader = dict(dataset={{_base_.test_set}})
test_dataloader = val_dataloader
# Scores over the classes that SYNTHIA labels: 16, and 13 without wall, fence and pole.
val_evaluator = dict(
    subsets=dict(
        mIoU16=[0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18],
        mIoU13=[0, 1, 2, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18],
    )
)
test_evaluator = val_evaluator
