# SePiCo, ProtoCL, DAFormer, MiT-B5, Cityscapes to Dark Zurich.
# Derived: figures are published, but no config; the DistCL config with the other loss.
_base_ = './sepico_dist_mitb5_cs2dzur.py'
model = dict(contrast=dict(variant='proto'))
