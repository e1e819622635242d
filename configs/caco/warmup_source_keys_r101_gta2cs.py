# CaCo's warm-up with a dictionary of source images alone.
_base_ = './warmup_r101_gta2cs.py'
model = dict(contrast=dict(domains='source'))
