# Runtime of the short toy runs: more frequent log lines, checkpoints and pictures.
_base_ = './default_runtime.py'
default_hooks = dict(checkpoint=dict(interval=100), logger=dict(interval=20))
custom_hooks = [dict(type='ProgressBarHook'), dict(type='PicturePanelHook', interval=100)]
