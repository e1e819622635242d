# SDCA's supervised stages: on source labels and on pseudo-labels. Every checkpoint is kept.
_base_ = ['../default_runtime.py', './source_only.py', '../schedules/sgd_poly_20k.py']
total_batch_size = 8
default_hooks = dict(checkpoint=dict(interval=1000, keep=20))
