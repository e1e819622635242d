# MIC(HRDA), MiT-B5, SYNTHIA to Cityscapes: masked, colour-augmented target images.
_base_ = '../hrda/hrda_mitb5_synthia2cs.py'
model = dict(
    addons=dict(mic=dict(type='MaskedConsistency', mode='separatetrgaug', block_size=64, ratio=0.7))
)
