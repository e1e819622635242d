# The same schedule over 60k iterations, as SePiCo by night.
_base_ = './adamw_poly10warm_40k.py'
train_cfg = dict(max_iters=60000)
