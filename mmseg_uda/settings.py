"""What counts as a change of the settings of a run."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

# Keys of the flattened settings that leave trained weights and scores as they are.
IRRELEVANT = re.compile(
    r'(^|\.)(nproc|num_workers|persistent_workers|pin_memory|prefetch_factor)$'
    r'|^config\.(work_dir|experiment_name|resume|launcher|log_level|log_processor|visualizer|vis_backends)(\.|$)'
    r'|^config\.default_hooks\.(logger|visualization)(\.|$)'
    r'|^config\.default_hooks\.checkpoint\.(interval|keep)$'
    r'|^config\.train_cfg\.val_interval$'
)


def flatten(value: Any, prefix: str = '') -> dict[str, Any]:
    """Nested dicts and lists as one dict of dotted keys; lists of plain values stay one value."""
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
    """The flattened settings without those that change nothing in the result."""
    return {key: v for key, v in flatten(plain(settings)).items() if not IRRELEVANT.search(key)}


def plain(value: Any) -> Any:
    """``value`` as JSON keeps it: tuples become lists, what JSON lacks becomes its ``str``."""
    return json.loads(json.dumps(value, default=str))


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Hexadecimal SHA-256 of the settings that matter."""
    return hashlib.sha256(json.dumps(relevant(settings), sort_keys=True).encode()).hexdigest()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Readable lines ``key: old -> new`` of the settings that matter and differ."""
    before, now = relevant(old), relevant(new)
    keys = [key for key in before | now if before.get(key, ...) != now.get(key, ...)]
    show = {True: repr, False: lambda _: '(not set)'}
    return [
        f'{key}: {show[key in before](before.get(key))} -> {show[key in now](now.get(key))}'
        for key in keys
    ]
