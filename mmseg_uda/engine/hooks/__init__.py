"""Hooks in addition to those of mmengine."""

from mmseg_uda.engine.hooks.checkpoint import ExactCheckpointHook
from mmseg_uda.engine.hooks.losses import DeferredLossHook
from mmseg_uda.engine.hooks.pictures import PicturePanelHook
from mmseg_uda.engine.hooks.progress import ProgressBarHook

__all__ = ['DeferredLossHook', 'ExactCheckpointHook', 'PicturePanelHook', 'ProgressBarHook']
