"""Imports every module that registers a class, so that mmseg's registries contain our classes.

Configs import it by ``custom_imports = dict(imports=['mmseg_uda.register'])``. New files in these
sub-packages are found automatically.
"""

import contextlib
import importlib
import io
import os
import pkgutil
import warnings

# Silence messages of mmcv and mmseg about optional packages and compiled operators not used here.
with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
    warnings.simplefilter('ignore')
    for _library in ('mmcv', 'mmseg.datasets', 'mmseg.models'):
        importlib.import_module(_library)

# When torch refuses to load a checkpoint that would run code, mmengine tries again and lets it run.
# This variable forbids that; to load a trusted file, set TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD.
if 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD' not in os.environ:
    os.environ.setdefault('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '1')

for _room in ('datasets', 'models', 'uda', 'evaluation'):
    _package = importlib.import_module(f'mmseg_uda.{_room}')
    for _module in pkgutil.walk_packages(_package.__path__, f'{_package.__name__}.'):
        importlib.import_module(_module.name)
# Only these: other modules of the engine import this module.
for _module in ('hooks', 'optim', 'repeated_sgd', 'runner', 'schedules'):
    importlib.import_module(f'mmseg_uda.engine.{_module}')
