# CaCo's warm-up with a dictionary of target images alone.
_base_ = './warmup_r101_gta2cs.py'
model = dict(contrast=dict(domains='target'))
