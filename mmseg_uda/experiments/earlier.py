"""Records of stages that an earlier version wrote."""

from collections.abc import Mapping
from typing import Any

# What a stage called in version 0.1.0.dev -> what it calls now. Their arguments are the same, by
# other names.
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


# Entries of configs that came later -> what a config without them means.
DEFAULTS = {'precision': 'highest'}


def current_settings(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of a record in today's words, for a comparison with those of today.

    Args:
        recorded: as they stand in ``stage.json``.
        now: the settings of the same stage today.
    """
    call = recorded.get('call')
    if call in CALLS and CALLS[call] == now.get('call'):
        recorded = {**recorded, 'call': now['call'], 'options': now['options']}
    if 'config' in recorded:
        come_later = {name: value for name, value in DEFAULTS.items() if name in now['config']}
        recorded = {**recorded, 'config': {**come_later, **recorded['config']}}
    return recorded
