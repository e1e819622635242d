"""Loads the config of a run: a file and the changes of the command line."""

import difflib
import inspect
import os
import re
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

import mmseg_uda.register  # noqa: F401 - first: silences messages of imported libraries
from mmseg_uda.compat.configs import from_legacy, is_legacy
from mmseg_uda.config import batch_size_of, locate, read_config, seed_of
from mmseg_uda.data_config import check_names, is_data
from mmseg_uda.engine.launch import torchrun_world
from mmseg_uda.engine.runner import UDARunner
from mmseg_uda.errors import UserError

# Top-level config keys that are known in addition to the runner's arguments.
OPTIONS = (
    *('custom_imports', 'runner_type', 'precision', 'channels_last', 'compile', 'sync_bn'),
    'total_batch_size',
    *('activation_checkpointing', 'efficient_conv_bn_eval'),  # of mmengine
    'training_crop',  # of mmseg 0.x configs: window size for sliding-window tests
)

TEST_SPLIT = 'test'


def load_config(
    path: str | os.PathLike,
    cfg_options: dict[str, Any] | None = None,
    seed: int | None = None,
    work_dir: str | os.PathLike | None = None,
    tensorboard: bool = False,
    test_set: str | None = None,
) -> Config:
    """Read a config file and apply the options of the command line.

    Args:
        path: the config file, see :func:`mmseg_uda.config.locate`. Python configs are executed;
            JSON and YAML are data, see :mod:`mmseg_uda.data_config`. A config of mmseg 0.x (JSON,
            as published by DAFormer and SePiCo) is converted to one for tests, see
            :func:`mmseg_uda.compat.configs.from_legacy`.
        cfg_options: dotted key -> value. A key must exist, or add an entry to an existing dict
            below the top level.
        seed: determines initial weights, order of the data and random draws; default: the config's
            ``randomness.seed``.
        work_dir: folder of the run's files; default: ``work_dirs/<config name>``.
        tensorboard: also write TensorBoard scalars.
        test_set: test on the ``test_set`` of this config instead of the config's own test data;
            :data:`TEST_SPLIT`: use the folders ``test`` of the config's data instead of ``val``.

    Raises:
        UserError: missing or invalid file, unknown key, or JSON or YAML that names code.
    """
    path = locate(path)
    config = read_config(path, imports=True)
    if is_legacy(config):
        config = from_legacy(config)
    if test_set == TEST_SPLIT:
        _use_test_split(config.test_dataloader.dataset)
    elif test_set is not None:
        config.test_dataloader.dataset = _read_test_set(test_set)
    _drop_variables(config, path)
    for key in cfg_options or {}:
        _check_key(config, key, path)
    config.merge_from_dict(cfg_options or {})
    if is_data(path):
        check_names(config)
    if 'total_batch_size' in config and 'train_dataloader.batch_size' in (cfg_options or {}):
        raise UserError(f'config {path}: set total_batch_size (of all processes), not batch_size')

    if seed is not None:
        config.merge_from_dict({'randomness.seed': seed})
    config.merge_from_dict({'randomness.seed': seed_of(config)})
    if 'train_dataloader' in config:
        _complete_training(config, path)
    config.work_dir = str(work_dir or config.get('work_dir') or Path('work_dirs') / path.stem)
    if tensorboard:
        _add_tensorboard(config)
    return config


def _complete_training(config: Config, path: Path) -> None:
    """Set the entries of model and data loader that follow from seed and batch size."""
    _share_batch(config, path)
    try:
        config.model.seed = config.train_dataloader.dataset.seed = config.randomness.seed
        config.train_dataloader.sampler.batch_size = config.train_dataloader.batch_size
    except AttributeError as error:
        raise UserError(
            f'config {path}: model and train_dataloader, with dataset, sampler and batch_size, '
            f'must be sections ({error})'
        ) from error
    if not torch.cuda.is_available():  # torch would warn that pinned memory has no use
        config.train_dataloader.pin_memory = False


def _add_tensorboard(config: Config) -> None:
    try:
        import tensorboard as _  # noqa: F401
    except ImportError as error:
        raise UserError('--tensorboard needs tensorboard: pip install tensorboard') from error
    config.visualizer.vis_backends.append(dict(type='TensorboardVisBackend'))


def _share_batch(config: Config, path: Path) -> None:
    """Divide ``total_batch_size`` (the positions of a step), if set, among the processes."""
    size = batch_size_of(config, (torchrun_world() or (0, 1))[1], path)
    if size is not None:
        config.train_dataloader.batch_size = size


def _read_test_set(path: str) -> dict:
    other = read_config(path)
    if 'test_set' not in other:
        raise UserError(f'--test-set {path}: this config has no test_set')
    if is_data(Path(path)):
        check_names(other)
    return other.test_set


def _use_test_split(dataset: dict) -> None:
    """Replace the folder ``val`` by ``test`` in the paths of a data set."""
    prefix = dataset['data_prefix']
    for place, key in ((prefix, 'img_path'), (prefix, 'seg_map_path'), (dataset, 'ann_file')):
        if place.get(key):
            place[key] = re.sub(r'(^|/)val(?=/|$|\.)', r'\1test', place[key])
    if 'test' not in prefix['img_path'].split('/'):
        raise UserError(
            f'--test-set: the path of the test images, {prefix["img_path"]}, has no folder val: '
            'give --test-set CONFIG'
        )


def _drop_variables(config: Config, path: Path) -> None:
    """Remove top-level keys that are only variables of the config file, such as ``segmentor``.

    Overriding them would have no effect. A key similar to a known one is an error: it is probably
    misspelt.
    """
    known = {*inspect.signature(UDARunner.__init__).parameters, *OPTIONS}
    for key in set(config.keys()) - known:
        if close := difflib.get_close_matches(key, known, 1, cutoff=0.85):
            raise UserError(f'config {path}: {key} is not a known option; did you mean {close[0]}?')
        config.pop(key)


def _check_key(config: Config, key: str, path: Path) -> None:
    """Raise UserError for an override of a key that does not exist, so would have no effect."""
    *parents, leaf = key.split('.')
    node: Any = config
    for depth, name in enumerate(parents + [leaf]):
        if isinstance(node, (list, tuple)):
            if not name.isdigit() or int(name) >= len(node):
                raise UserError(
                    f'--cfg-options {key}: {name} is not an index of the list in {path}'
                )
            node = node[int(name)]
            continue
        if not hasattr(node, 'keys'):
            raise UserError(f'--cfg-options {key}: {".".join(parents[:depth])} has no keys')
        if name not in node:
            if depth and depth == len(parents):
                return  # a new argument; the component checks it
            close = difflib.get_close_matches(name, list(node.keys()), 1)
            hint = f'; did you mean {close[0]}?' if close else ''
            raise UserError(f'--cfg-options {key}: {path} has no key {name}{hint}')
        node = node[name]
