# MIC(HRDA), MiT-B5, GTA to Cityscapes: masked, colour-augmented target images.
_base_ = '../hrda/hrda_mitb5_gta2cs.py'
model = dict(
    addons=dict(mic=dict(type='MaskedConsistency', mode='separatetrgaug', block_size=64, ratio=0.7))
)
randomness = dict(seed=2)  # seed of the published run
