# Settings of every run. `custom_imports` registers the classes of mmseg_uda with mmseg.
custom_imports = dict(imports=['mmseg_uda.register'], allow_failed_imports=False)
default_scope = 'mmseg'
runner_type = 'UDARunner'
randomness = dict(seed=0, deterministic=False)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
log_level = 'INFO'
log_processor = dict(
    by_epoch=False, window_size=50, mean_pattern=r'.*(loss|acc|time|data_time|grad_norm).*'
)
visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
default_hooks = dict(
    runtime_info=dict(type='DeferredLossHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='ExactCheckpointHook', interval=2000, keep=2),
    sampler_seed=None,
)
custom_hooks = [dict(type='ProgressBarHook'), dict(type='PicturePanelHook', interval=1000)]
load_from = None

# Speed options, all off: float32, eager, NCHW is the reference that the golden values check.
precision = 'highest'  # of float32; 'high' computes convolutions and matrix products in TF32
channels_last = False
compile = False
