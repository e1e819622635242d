# MIC(DAFormer), MiT-B5, GTA to Cityscapes: masked, colour-augmented target images.
_base_ = '../daformer/daformer_mitb5_gta2cs.py'
model = dict(
    addons=dict(mic=dict(type='MaskedConsistency', mode='separatetrgaug', block_size=32, ratio=0.7))
)
