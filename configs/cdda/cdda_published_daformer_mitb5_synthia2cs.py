# As cdda_daformer_mitb5_synthia2cs.py, but as in the published code instead of the paper.
_base_ = './cdda_daformer_mitb5_synthia2cs.py'
model = dict(addons=dict(cdda=dict(as_published=True)))
