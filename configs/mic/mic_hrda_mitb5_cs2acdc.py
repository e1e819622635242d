# MIC(HRDA), MiT-B5, Cityscapes to ACDC: one source and one target image masked.
_base_ = '../hrda/hrda_mitb5_cs2acdc.py'
model = dict(
    addons=dict(mic=dict(type='MaskedConsistency', mode='separate', block_size=64, ratio=0.7))
)
