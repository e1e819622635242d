"""Checks of a config and its data before training; all problems are reported at once."""

import inspect
import types
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Literal, Union, get_args, get_origin

import mmseg.registry
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner

from mmseg_uda.uda.addon import TrainingData

PACKAGE = __name__.partition('.')[0]
WORDS = {
    int: 'an integer',
    float: 'a number',
    bool: 'True or False',
    str: 'a string',
    dict: 'a dict',
    type(None): 'None',
}


def config_problems(config: Config) -> Iterator[str]:
    """Yield one sentence per problem of a config that shows without data.

    Checked are the number of iterations, the length of the warm-up, and the type of every option of
    this package's classes.
    """
    config = config.to_dict()
    max_iters = (config.get('train_cfg') or {}).get('max_iters')
    if not fits(max_iters, int) or max_iters < 1:
        yield f'train_cfg.max_iters is {max_iters!r}, it must be a positive integer'
    else:
        for path, schedule in _typed(config.get('param_scheduler'), 'param_scheduler'):
            warmup = schedule.get('warmup_iters')
            if fits(warmup, int) and warmup >= max_iters:
                yield (
                    f'{path}.warmup_iters is {warmup}, but the training ends after {max_iters} '
                    'iterations (train_cfg.max_iters): the warm-up must be shorter'
                )
    for path, options in _typed(config):
        yield from _option_problems(path, options)


def data_problems(runner: Runner) -> Iterator[str]:
    """Yield one sentence per problem of the data: inconsistent data sets, or unfit for the method.

    Raises:
        UserError: a training sample, which is loaded for this, cannot be read.
    """
    dataset = runner.train_dataloader.dataset
    classes = dataset.metainfo['classes']
    others = {}
    if dataset.target is not None:
        others['train_dataloader.dataset.target'] = dataset.target
    if runner.val_loop is not None:
        others['val_dataloader.dataset'] = runner.val_dataloader.dataset
    for name, other in others.items():
        if (number := len(other.metainfo['classes'])) != len(classes):
            names = ', '.join([*classes[:3], '...'] if len(classes) > 3 else classes)
            yield (
                f'{name} has {number} classes, the source data set {len(classes)} ({names}): give '
                'both the same metainfo'
            )
    sample = dataset[0]
    source, target = (
        tuple(sample[name]['image'].shape[1:]) if name in sample else None
        for name in ('source', 'target')
    )
    config = runner.cfg.train_dataloader.dataset
    data = TrainingData(config, len(classes), source, target, sample)
    yield from runner.model.problems(data)


def fits(value: Any, kind: Any) -> bool:
    """Whether a config value has the type of an annotation.

    A list fits a tuple and the reverse, an integer fits float, a bool does not fit int or float.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in (Any, inspect.Parameter.empty) or isinstance(kind, str):
        return True
    if origin in (Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is Literal:
        return value in arguments
    if kind is None:
        return value is None
    if kind in (int, float):
        return isinstance(value, int | kind) and not isinstance(value, bool)
    origin = origin or kind
    if not isinstance(origin, type):
        return True
    if origin is str or not issubclass(origin, Sequence):
        return isinstance(value, origin)
    items = [argument for argument in arguments if argument is not Ellipsis]
    return isinstance(value, list | tuple) and all(
        any(fits(item, argument) for argument in items or [Any]) for item in value
    )


def _option_problems(path: str, options: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per option of a component whose value has the wrong type."""
    for name, kind in _annotations(_classes().get(options['type'])).items():
        if name in options and not fits(options[name], kind):
            yield f'{path}.{name} is {options[name]!r}, it must be {_in_words(kind)}'


def _typed(node: Any, path: str = '') -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the dotted path and the content of every dict with a ``type`` in a config."""
    if isinstance(node, Mapping):
        if isinstance(node.get('type'), str):
            yield path, node
        items = node.items()
    else:
        items = enumerate(node) if isinstance(node, list | tuple) else ()
    for key, value in items:
        yield from _typed(value, f'{path}.{key}' if path else str(key))


def _classes() -> dict[str, type]:
    """Return the registered classes of this package by name."""
    registries = (value for value in vars(mmseg.registry).values() if isinstance(value, Registry))
    found = chain.from_iterable(registry.module_dict.items() for registry in registries)
    return {name: kind for name, kind in found if kind.__module__.startswith(f'{PACKAGE}.')}


def _annotations(kind: type | None) -> dict[str, Any]:
    """Return name -> annotation of a class's arguments, including those passed to its bases."""
    known: dict[str, Any] = {}
    for base in inspect.getmro(kind) if inspect.isclass(kind) else ():
        if base.__module__.startswith(f'{PACKAGE}.') and '__init__' in vars(base):
            parameters = inspect.signature(base.__init__).parameters.values()
            named = (p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
            known = {parameter.name: parameter.annotation for parameter in named} | known
    return known


def _in_words(kind: Any) -> str:
    """Describe an annotation for a message."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return ' or '.join(map(_in_words, arguments))
    if origin is Literal:
        return ' or '.join(map(repr, arguments))
    if kind in WORDS:
        return WORDS[kind]
    if inspect.isclass(origin) and issubclass(origin, Sequence):
        return 'a list'
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return 'a dict'
    return getattr(kind, '__name__', str(kind))
