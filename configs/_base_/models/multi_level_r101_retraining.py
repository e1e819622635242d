# As multi_level_r101.py, for CaCo's fine-tuning: ignored pixels count in the mean of the loss, and
# predictions are softmax(main + 0.5 aux).
_base_ = './multi_level_r101.py'
segmentor = dict(average='all', test_cfg=dict(level_factors=dict(aux=0.5), probabilities=True))
