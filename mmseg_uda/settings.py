"""Comparison of the settings of runs."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

# Keys of the flattened settings that have no effect on trained weights and scores.
IRRELEVANT = re.compile(
    r'(^|\.)(nproc|num_workers|persistent_workers|pin_memory|prefetch_factor)$'
    r'|^config\.(work_dir|experiment_name|resume|launcher|log_level|log_processor|visualizer|vis_backends)(\.|$)'
    r'|^config\.default_hooks\.(logger|visualization)(\.|$)'
    r'|^config\.default_hooks\.checkpoint\.(interval|keep)$'
    r'|^config\.train_cfg\.val_interval$'
)


def flatten(value: Any, prefix: str = '') -> dict[str, Any]:
    """Flatten nested dicts and lists to one dict of dotted keys; keep lists of plain values."""
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)) and any(isinstance(v, (Mapping, list)) for v in value):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return {prefix: list(value) if isinstance(value, tuple) else value}
    flat = {}
    for key, item in items:
        flat |= flatten(item, f'{prefix}.{key}' if prefix else key)
    return flat


def relevant(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flattened settings without those that do not affect the result."""
    return {key: v for key, v in flatten(plain(settings)).items() if not IRRELEVANT.search(key)}


def plain(value: Any) -> Any:
    """Convert to JSON types: tuples to lists, unsupported values to their ``str``."""
    return json.loads(json.dumps(value, default=str))


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Return the hexadecimal SHA-256 of the relevant settings."""
    return hashlib.sha256(json.dumps(relevant(settings), sort_keys=True).encode()).hexdigest()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return ``key: old -> new`` for each relevant setting that differs."""
    before, now = relevant(old), relevant(new)
    keys = [key for key in before | now if before.get(key, ...) != now.get(key, ...)]
    show = {True: repr, False: lambda _: '(not set)'}
    return [
        f'{key}: {show[key in before](before.get(key))} -> {show[key in now](now.get(key))}'
        for key in keys
    ]
