# SePiCo (DistCL) with MIC, DAFormer, MiT-B5, GTA to Cityscapes. Not published as a combination.
_base_ = '../sepico/sepico_dist_mitb5_gta2cs.py'
model = dict(
    addons=dict(mic=dict(type='MaskedConsistency', mode='separatetrgaug', block_size=32, ratio=0.7))
)
