"""Import every room, so that mmseg's registries know our parts.

Configs say ``custom_imports = dict(imports=['mmseg_uda.register'])``.
"""

import contextlib
import importlib
import io
import warnings

# On import, mmcv and mmseg tell of optional packages and compiled operators that nothing here uses.
with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
    warnings.simplefilter('ignore')
    for _library in ('mmcv', 'mmseg.datasets', 'mmseg.models'):
        importlib.import_module(_library)

for _room in (
    'datasets.dark_zurich',
    'datasets.fixed_size',
    'datasets.segmentation',
    'datasets.source_target',
    'datasets.transforms',
    'evaluation.metrics',
    'models',
    'engine.hooks',
    'engine.optim',
    'engine.runner',
    'engine.schedules',
    'uda',
):
    importlib.import_module(f'mmseg_uda.{_room}')
