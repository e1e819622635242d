# CDDA on SePiCo (DistCL), MiT-B5, GTA to Cityscapes. Not published as a combination.
# The thresholds are those of CDDA on DAFormer; depth maps are cropped with SePiCo's target images.
_base_ = '../sepico/sepico_dist_mitb5_gta2cs.py'
model = dict(
    addons=dict(
        cdda=dict(
            type='CDDA',
            bank='preprocessed/gta_sepico',
            reweight_threshold=0.56,
            relabel_threshold=0.54,
            threshold_decay=0.0025,
        ),
    )
)
train_dataloader = dict(
    dataset=dict(source=dict(depth_dir='depth_any'), target=dict(depth_dir='depth_any/train'))
)
