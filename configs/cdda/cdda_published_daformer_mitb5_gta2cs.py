# cdda_daformer_mitb5_gta2cs.py as the published code computes it, not the paper.
_base_ = './cdda_daformer_mitb5_gta2cs.py'
model = dict(addons=dict(cdda=dict(as_published=True)))
