"""mmseg-uda: unsupervised domain adaptation for semantic segmentation, on mmsegmentation."""

from typing import Any

__version__ = '0.1.0'

APIS = ('Model', 'TestOutputs', 'TestSettings', 'load', 'load_config', 'test', 'train')


def __getattr__(name: str) -> Any:
    """What :mod:`mmseg_uda.apis` has, imported when it is first used: it needs torch."""
    if name in APIS:
        from mmseg_uda import apis

        return getattr(apis, name)
    raise AttributeError(f'module {__name__} has no attribute {name}')


def __dir__() -> list[str]:
    return sorted([*globals(), *APIS])
