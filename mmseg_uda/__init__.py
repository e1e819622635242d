"""mmseg-uda: unsupervised domain adaptation for semantic segmentation, on mmsegmentation."""

from typing import Any

__version__ = '0.1.0'

APIS = ('Model', 'TestOutputs', 'TestSettings', 'load', 'load_config', 'test', 'train')


def __getattr__(name: str) -> Any:
    """Import :mod:`mmseg_uda.apis`, which imports torch, on first use of one of its names."""
    if name in APIS:
        from mmseg_uda import apis

        return getattr(apis, name)
    raise AttributeError(f'module {__name__} has no attribute {name}')


def __dir__() -> list[str]:
    return sorted([*globals(), *APIS])
