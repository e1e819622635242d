# CDDA on MIC (HRDA), MiT-B5, SYNTHIA to Cityscapes.
_base_ = '../mic/mic_hrda_mitb5_synthia2cs.py'
model = dict(
    addons=dict(
        cdda=dict(
            type='CDDA',
            bank='preprocessed/synthia_mic',
            reweight_threshold=0.49,
            relabel_threshold=0.47,
            threshold_decay=0.002,
            skip_classes=[9, 14, 16],  # SYNTHIA has no terrain, trucks and trains
        ),
    )
)
train_dataloader = dict(
    dataset=dict(source=dict(depth_dir='depth_any'), target=dict(depth_dir='depth_any/train')),
)
train_cfg = dict(val_interval=1000)
default_hooks = dict(checkpoint=dict(save_best='mIoU'))  # as published; the last one is tested too
randomness = dict(seed=2)  # seed of the published run
