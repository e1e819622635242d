# CDDA on DAFormer, MiT-B5, GTA to Cityscapes.
_base_ = '../daformer/daformer_mitb5_gta2cs.py'
model = dict(
    addons=dict(
        cdda=dict(
            type='CDDA',
            bank='preprocessed/gta_daformer',
            reweight_threshold=0.56,
            relabel_threshold=0.54,
            threshold_decay=0.0025,
        ),
    )
)
train_dataloader = dict(
    dataset=dict(source=dict(depth_dir='depth_any'), target=dict(depth_dir='depth_any/train')),
)
train_cfg = dict(val_interval=1000)
default_hooks = dict(checkpoint=dict(save_best='mIoU'))  # as published; the last one is tested too
