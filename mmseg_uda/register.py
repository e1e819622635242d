"""Import every room, so that mmseg's registries know our parts.

Configs say ``custom_imports = dict(imports=['mmseg_uda.register'])``.
"""

import importlib

for _room in (
    'datasets.segmentation',
    'datasets.source_target',
    'datasets.transforms',
    'evaluation.metrics',
    'models',
    'engine.hooks',
    'engine.optim',
    'engine.runner',
    'uda',
):
    importlib.import_module(f'mmseg_uda.{_room}')
