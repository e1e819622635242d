# Schedule of CaCo's fine-tuning: as of its first trainings, with Nesterov's momentum, a linear rise
# from a tenth of the rate over 5000 iterations, and the decay afterwards.
_base_ = './sgd_poly_caco_120k.py'
optim_wrapper = dict(optimizer=dict(lr=1e-4, nesterov=True))
param_scheduler = [
    dict(
        type='WarmupPolyLR',
        power=0.9,
        warmup_iters=5000,
        warmup_ratio=0.1,
        decay_in_warmup=False,
        by_epoch=False,
    )
]
train_cfg = dict(max_iters=100000)
