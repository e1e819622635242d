"""Checks of a config and its data before training; all problems are reported at once."""

import difflib
import inspect
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, Literal, Union, get_args, get_origin

import mmseg.registry
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner

from mmseg_uda.errors import UserError
from mmseg_uda.evaluation.inference import build_test_loader
from mmseg_uda.settings import flatten
from mmseg_uda.uda.addon import TrainingData

PACKAGE = __name__.partition('.')[0]
# Entries of a config that the registries of mmengine use themselves.
REGISTRY_OPTIONS = {'type', '_scope_', 'priority', 'convert_to_iter_based'}
WORDS = {
    int: 'an integer',
    float: 'a number',
    bool: 'True or False',
    str: 'a string',
    dict: 'a dict',
    type(None): 'None',
}


def config_problems(config: Config) -> Iterator[str]:
    """Yield a sentence for every problem of the config itself.

    Checked are the number of iterations, the length of the warm-up, and the names and types of all
    options of this package's classes.
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
    """Yield a sentence for everything in the data that does not fit together or fit the method.

    One sample of each data set is loaded, also of the validation and the test data.

    Raises:
        UserError: a sample cannot be loaded.
    """
    dataset = runner.train_dataloader.dataset
    classes = dataset.metainfo['classes']
    others: dict[str, Any] = {
        f'train_dataloader.dataset.{domain.name}': domain for domain in dataset.domains[1:]
    }
    if runner.val_loop is not None:
        others['val_dataloader.dataset'] = runner.val_dataloader.dataset
    for name, other in others.items():
        if (number := len(other.metainfo['classes'])) != len(classes):
            names = ', '.join([*classes[:3], '...'] if len(classes) > 3 else classes)
            yield (
                f'{name} has {number} classes, the source data set {len(classes)} ({names}): give '
                'both the same metainfo'
            )
    sample = {}
    for domain in dataset.domains:
        sample[domain.name], *others = domain.load_from_each(dataset.seed, position=0)
        yield from _shape_problems(domain.name, [sample[domain.name], *others])
    sizes = {name: tuple(of_domain['image'].shape[1:]) for name, of_domain in sample.items()}
    data = TrainingData(dataset, len(classes), sizes['source'], sizes.get('target'), sample)
    yield from runner.model.problems(data)
    for images, size in _test_sizes(runner).items():
        yield from runner.model.student.test_size_problems(images, size)


def _test_sizes(runner: Runner) -> dict[str, Sequence[int]]:
    """Size (height, width) of the first image of the validation and of the test data, by name.

    Test data are left out if they are the validation data or are not there yet.
    """
    datasets, config = {}, runner.cfg
    if runner.val_loop is not None:
        datasets['validation images'] = runner.val_dataloader.dataset
    test = config.get('test_dataloader')
    if test and test.dataset != (config.get('val_dataloader') or {}).get('dataset'):
        with suppress(UserError):
            datasets['test images'] = build_test_loader(config, labels=False).dataset
    return {name: dataset[0]['inputs'].shape[1:] for name, dataset in datasets.items()}


def _shape_problems(domain: str, samples: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A sentence for each data set of a list whose samples cannot be in one batch with the first's.

    Args:
        domain: ``source`` or ``target``.
        samples: one of each data set, in order.
    """
    path, first = f'train_dataloader.dataset.{domain}', _shapes(samples[0])
    for number, sample in enumerate(samples[1:], 1):
        if (shapes := _shapes(sample)) != first:
            yield (
                f'{path}.{number} gives samples with {shapes}, {path}.0 with {first}: all data '
                'sets of a list must give the same fields and sizes'
            )


def _shapes(sample: Mapping[str, Any]) -> str:
    tensors = {name: value for name, value in sorted(flatten(sample).items()) if name != 'path'}
    return ', '.join(f'{name} {"x".join(map(str, v.shape))}' for name, v in tensors.items())


def fits(value: Any, kind: Any) -> bool:
    """Whether a value of a config has the type of an annotation.

    A list is accepted for a tuple and vice versa, an integer for a float, but not True for a
    number.
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
    """Yield a sentence for every unknown option of a component, or one of the wrong type."""
    component = _classes().get(options['type'])
    annotations = _annotations(component)
    for name, kind in annotations.items():
        if name in options and not fits(options[name], kind):
            yield f'{path}.{name} is {options[name]!r}, it must be {_in_words(kind)}'
    if _knows_all_options(component):
        for name in sorted(options.keys() - annotations.keys() - REGISTRY_OPTIONS):
            close = difflib.get_close_matches(name, annotations, 1)
            hint = f'; did you mean {close[0]}?' if close else ''
            yield f'{path}.{name} is not a known option of {options["type"]}{hint}'


def _typed(node: Any, path: str = '') -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (dotted path, dict) of every dict with a ``type`` in a config."""
    if isinstance(node, Mapping):
        if isinstance(node.get('type'), str):
            yield path, node
        items = node.items()
    else:
        items = enumerate(node) if isinstance(node, list | tuple) else ()
    for key, value in items:
        yield from _typed(value, f'{path}.{key}' if path else str(key))


def _classes() -> dict[str, type]:
    """Registered classes of this package by name."""
    registries = (value for value in vars(mmseg.registry).values() if isinstance(value, Registry))
    found = chain.from_iterable(registry.module_dict.items() for registry in registries)
    return {name: kind for name, kind in found if kind.__module__.startswith(f'{PACKAGE}.')}


def _initialisers(kind: type | None) -> Iterator[Sequence[inspect.Parameter]]:
    """Parameters of ``__init__`` of a class and of its base classes in this package."""
    for base in inspect.getmro(kind) if inspect.isclass(kind) else ():
        if base.__module__.startswith(f'{PACKAGE}.') and '__init__' in vars(base):
            yield list(inspect.signature(base.__init__).parameters.values())[1:]


def _annotations(kind: type | None) -> dict[str, Any]:
    """Annotations of a class's arguments, including those of its base classes in this package."""
    known: dict[str, Any] = {}
    for parameters in _initialisers(kind):
        named = (p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
        known = {parameter.name: parameter.annotation for parameter in named} | known
    return known


def _knows_all_options(kind: type | None) -> bool:
    """Whether no argument of a class is passed on to a class outside of this package."""
    return any(
        all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters)
        for parameters in _initialisers(kind)
    )


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
