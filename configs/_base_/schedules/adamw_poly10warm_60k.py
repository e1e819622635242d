# DAFormer's schedule over 60k iterations, as in SePiCo by night.
_base_ = './adamw_poly10warm_40k.py'
train_cfg = dict(max_iters=60000)
