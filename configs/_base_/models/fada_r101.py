# FADA's segmentor: SDCA's without the Lovász loss, trained with a softmax temperature.
_base_ = './sdca_r101.py'
segmentor = dict(temperature=1.8)
