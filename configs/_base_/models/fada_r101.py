# FADA's segmentor: SDCA's without the Lovász loss, trained with softened logits.
_base_ = './sdca_r101.py'
segmentor = dict(temperature=1.8)
