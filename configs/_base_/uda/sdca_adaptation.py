# SDCA's adaptation. Every checkpoint is kept.
_base_ = ['../default_runtime.py', './sdca.py', '../schedules/sgd_poly_40k.py']
total_batch_size = 4
default_hooks = dict(checkpoint=dict(interval=1000, keep=40))
