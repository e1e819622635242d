# SePiCo, ProtoCL, DAFormer, MiT-B5, GTA to Cityscapes.
_base_ = './sepico_dist_mitb5_gta2cs.py'
model = dict(contrast=dict(variant='proto'))
