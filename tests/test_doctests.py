"""The examples in docstrings."""

import doctest
import importlib
import pkgutil

import pytest

import mmseg_uda
from mmseg_uda.uda import components

FINDER = doctest.DocTestFinder(exclude_empty=True)
WITHOUT = {'distributed'}  # components whose only job needs several processes


def modules(package) -> list[str]:
    found = pkgutil.walk_packages(package.__path__, f'{package.__name__}.')
    return [module.name for module in found if '>>>' in _source(module)]


def _source(module) -> str:
    return module.module_finder.find_spec(module.name).loader.get_source(module.name)


@pytest.mark.parametrize('name', modules(mmseg_uda))
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name), report=True)
    assert result.attempted and not result.failed


def test_every_component_has_an_example():
    found = {name.rpartition('.')[2] for name in modules(components)}
    names = {module.name for module in pkgutil.iter_modules(components.__path__)}
    assert names - found == WITHOUT
