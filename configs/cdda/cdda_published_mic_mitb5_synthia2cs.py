# cdda_mic_mitb5_synthia2cs.py as the published code computes it, not the paper.
_base_ = './cdda_mic_mitb5_synthia2cs.py'
model = dict(addons=dict(cdda=dict(as_published=True)))
