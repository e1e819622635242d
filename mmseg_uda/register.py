"""Import every module that registers a class, so that mmseg's registries know our classes.

Configs say ``custom_imports = dict(imports=['mmseg_uda.register'])``. A new file in one of these
rooms is found by itself.
"""

import contextlib
import importlib
import io
import os
import pkgutil
import warnings

# On import, mmcv and mmseg tell of optional packages and compiled operators that nothing here uses.
with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
    warnings.simplefilter('ignore')
    for _library in ('mmcv', 'mmseg.datasets', 'mmseg.models'):
        importlib.import_module(_library)

# mmengine opens a checkpoint that torch refuses because code would run a second time, and lets it
# run. torch then refuses that too; who trusts a file says so by the other variable.
if 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD' not in os.environ:
    os.environ.setdefault('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '1')

for _room in ('datasets', 'models', 'uda', 'evaluation'):
    _package = importlib.import_module(f'mmseg_uda.{_room}')
    for _module in pkgutil.walk_packages(_package.__path__, f'{_package.__name__}.'):
        importlib.import_module(_module.name)
for _module in ('hooks', 'optim', 'runner', 'schedules'):  # the rest of the engine imports this
    importlib.import_module(f'mmseg_uda.engine.{_module}')
