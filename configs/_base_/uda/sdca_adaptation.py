# SDCA's adaptation. The Lovász loss takes one source image at a time, as one published GPU did.
# Every checkpoint is kept.
_base_ = ['../default_runtime.py', './sdca.py', '../schedules/sgd_poly_40k.py']
model = dict(segmentor=dict(lovasz_images=1))
total_batch_size = 4
default_hooks = dict(checkpoint=dict(interval=1000, keep=40))
