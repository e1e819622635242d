# CaCo's target losses on DAFormer: one more student pass, on rescaled target images.
_base_ = '../daformer/daformer_mitb5_gta2cs.py'
model = dict(addons=dict(contrast=dict(type='CategoryContrast')))
