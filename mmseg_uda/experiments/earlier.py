"""Translation of stage records that earlier versions wrote."""

from collections.abc import Mapping
from typing import Any

from mmseg_uda.config import with_current_options

# Function of a stage in version 0.1.0.dev -> its function now. The arguments have other names and
# the same meaning.
CALLS = {
    'tools.convert_datasets.gta:main': 'mmseg_uda.preparation.conversion:convert',
    'tools.convert_datasets.cityscapes:main': 'mmseg_uda.preparation.conversion:convert',
    'tools.depth_distributions:main': 'mmseg_uda.preparation.depth_bank:make_bank_of_config',
    'tools.report:main': 'mmseg_uda.experiments.comparison:compare',
    'mmseg_uda.engine.init_statistics:initialise_statistics': (
        'mmseg_uda.preparation.class_distributions:initialise_statistics'
    ),
    'mmseg_uda.engine.pseudo_labelling:generate_pseudo_labels': (
        'mmseg_uda.preparation.pseudo_labels:generate_pseudo_labels'
    ),
}

# Config entries that later versions added -> the value that a config without them meant.
DEFAULTS = {'precision': 'highest'}


def current_settings(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of a record under current names, for comparison with the current settings.

    Args:
        recorded: as in ``stage.json``.
        now: the current settings of the same stage.
    """
    call = recorded.get('call')
    if call in CALLS and CALLS[call] == now.get('call'):
        recorded = {**recorded, 'call': now['call'], 'options': now['options']}
    if 'config' in recorded:
        added = {name: value for name, value in DEFAULTS.items() if name in now['config']}
        recorded = {**recorded, 'config': {**added, **with_current_options(recorded['config'])}}
    return recorded
