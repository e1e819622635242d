"""The config of a run: a file, and what the command line changes in it."""

import difflib
import inspect
import os
import re
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

import mmseg_uda.register  # noqa: F401 - first: it keeps the remarks of libraries off the screen
from mmseg_uda.compat.configs import from_legacy, is_legacy
from mmseg_uda.config import locate, read_config, seed_of
from mmseg_uda.data_config import check_names, is_data
from mmseg_uda.engine.launch import torchrun_world
from mmseg_uda.engine.runner import UDARunner
from mmseg_uda.errors import UserError

# Top-level keys of a config that are read besides the runner's own arguments.
OPTIONS = (
    *('custom_imports', 'runner_type', 'precision', 'channels_last', 'compile', 'sync_bn'),
    'total_batch_size',
    *('activation_checkpointing', 'efficient_conv_bn_eval'),  # mmengine's
    'training_crop',  # of configs of mmseg 0.x, for tests on windows
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
    """Read a config file and put the command line's choices into it.

    Args:
        path: the config file, see :func:`mmseg_uda.config.locate`. Python is run; JSON and YAML are
            data, see :mod:`mmseg_uda.data_config`. A config of mmseg 0.x, as DAFormer and SePiCo
            published theirs (JSON), gives one for tests, see
            :func:`mmseg_uda.compat.configs.from_legacy`.
        cfg_options: dotted key -> value; a key must exist, or be a new entry of an existing dict
            below the top level.
        seed: of the run; default the config's ``randomness.seed``. Governs weights, data and draws.
        work_dir: where the run's files go; default ``work_dirs/<config name>``.
        tensorboard: write TensorBoard scalars too.
        test_set: a config whose ``test_set`` is tested instead of the config's own;
            :data:`TEST_SPLIT` for the folders ``test`` of its own data set instead of ``val``.

    Raises:
        UserError: missing or broken file, unknown key; JSON or YAML that names code.
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
        raise UserError(f'config {path}: set total_batch_size, the images of all processes')

    randomness = config.setdefault('randomness', {})
    if seed is not None:
        randomness['seed'] = seed
    randomness['seed'] = seed_of(config)
    if 'train_dataloader' in config:
        _share_batch(config, path)
        try:
            config.model.seed = config.train_dataloader.dataset.seed = randomness['seed']
            config.train_dataloader.sampler.batch_size = config.train_dataloader.batch_size
        except AttributeError as error:
            raise UserError(
                f'config {path}: model and train_dataloader, with dataset, sampler and batch_size, '
                f'must be sections ({error})'
            ) from error
        if not torch.cuda.is_available():  # torch warns of pinned memory that nobody needs
            config.train_dataloader.pin_memory = False
    config.work_dir = str(work_dir or config.get('work_dir') or Path('work_dirs') / path.stem)
    if tensorboard:
        try:
            import tensorboard as _  # noqa: F401
        except ImportError as error:
            raise UserError('--tensorboard needs the extra: pip install tensorboard') from error
        config.visualizer.vis_backends.append(dict(type='TensorboardVisBackend'))
    return config


def _share_batch(config: Config, path: Path) -> None:
    """Give each process its part of ``total_batch_size``, the images of a step, if that is set."""
    if (total := config.get('total_batch_size')) is None:
        return
    processes = (torchrun_world() or (0, 1))[1]
    if total % processes:
        raise UserError(
            f'config {path}: total_batch_size {total} cannot be shared by {processes} processes'
        )
    config.train_dataloader.batch_size = total // processes


def _read_test_set(path: str) -> dict:
    other = read_config(path)
    if 'test_set' not in other:
        raise UserError(f'--test-set {path}: this config has no test_set')
    if is_data(Path(path)):
        check_names(other)
    return other.test_set


def _use_test_split(dataset: dict) -> None:
    """Turn the folders ``val`` in a data set's paths into ``test``, and nothing else there."""
    prefix = dataset['data_prefix']
    for place, key in ((prefix, 'img_path'), (prefix, 'seg_map_path'), (dataset, 'ann_file')):
        if place.get(key):
            place[key] = re.sub(r'(^|/)val(?=/|$|\.)', r'\1test', place[key])
    if 'test' not in prefix['img_path'].split('/'):
        raise UserError(
            f'--test-set: the images that the config tests are in {prefix["img_path"]}, where no '
            'folder is called val; give --test-set CONFIG'
        )


def _drop_variables(config: Config, path: Path) -> None:
    """Drop top-level keys that only served to compose the config, as ``segmentor`` does.

    To override them on the command line would change nothing. One that is almost a key that the
    runner reads is refused: it is a misspelling.
    """
    known = {*inspect.signature(UDARunner.__init__).parameters, *OPTIONS}
    for key in set(config.keys()) - known:
        if close := difflib.get_close_matches(key, known, 1, cutoff=0.85):
            raise UserError(f'config {path}: nobody reads {key}; did you mean {close[0]}?')
        config.pop(key)


def _check_key(config: Config, key: str, path: Path) -> None:
    """Refuse an override that would only add a key nobody reads."""
    *parents, leaf = key.split('.')
    node: Any = config
    for depth, name in enumerate(parents + [leaf]):
        if isinstance(node, (list, tuple)):
            if not name.isdigit() or int(name) >= len(node):
                raise UserError(f'--cfg-options {key}: {name} is no index of a list in {path}')
            node = node[int(name)]
            continue
        if not hasattr(node, 'keys'):
            raise UserError(f'--cfg-options {key}: {".".join(parents[:depth])} has no keys')
        if name not in node:
            if depth and depth == len(parents):
                return  # a new argument of a component, which checks it itself
            close = difflib.get_close_matches(name, list(node.keys()), 1)
            hint = f'; did you mean {close[0]}?' if close else ''
            raise UserError(f'--cfg-options {key}: {path} has no key {name}{hint}')
        node = node[name]
