# As sdca_r101.py with trained batch norm, for SDCA's last stage.
_base_ = './sdca_r101.py'
segmentor = dict(backbone=dict(norm_cfg=dict(_delete_=True, type='BN', requires_grad=True)))
