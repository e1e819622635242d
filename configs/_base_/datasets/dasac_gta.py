# GTA to Cityscapes as in DA-SAC's last stage: 8 source images and 2 groups of target views a step.
_base_ = [
    './loaders.py',
    './sources/gta_dasac.py',
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
        target_sampling=dict(weights=None, uniform_share=0.25),
    )
)
val_dataloader = dict(dataset={{_base_.test_set}})
test_dataloader = val_dataloader
