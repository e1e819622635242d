"""What the rows of all method families are written with."""

from pathlib import Path

from mmseg_uda.experiments.experiment import Experiment, Stage

NETWORKS = {'dlv2': 'DeepLabv2 ResNet-101', 'mitb5': 'MiT-B5'}
DOMAINS = {
    'gta2cs': 'GTA -> Cityscapes',
    'synthia2cs': 'SYNTHIA -> Cityscapes',
    'cs2dzur': 'Cityscapes -> Dark Zurich',
    'cs2acdc': 'Cityscapes -> ACDC',
    'cs': 'Cityscapes',
}
TEST_SERVERS = ('cs2dzur', 'cs2acdc')
"""Where papers score on labels that only a test server has."""


def trained(config: str, name: str = 'train', **test_options) -> tuple[Stage, Stage]:
    """Train a config and test the result on the target domain."""
    test = 'test' if name == 'train' else f'test_{name}'
    options = {'checkpoint': f'{{{name}.checkpoint}}', **test_options}
    return Stage(name, config), Stage(test, config, kind='test', options=options)


def of_config(config: str, name: str) -> Experiment:
    """The experiment that a config file alone makes."""
    return Experiment(None, name, trained(config))


def row(
    id: int,
    name: str,
    config: str,
    method: str,
    published: float | None = None,
    metric: str = 'mIoU',
    *,
    remark: str = '',
) -> Experiment:
    """A row that trains and tests ``configs/<config>.py``.

    The end of the config's name tells the network and the domains, as in ``hrda_mitb5_gta2cs``:
    they stand in the note behind ``method``, and ``remark`` behind them.
    """
    network, domains = Path(config).name.split('_')[-2:]
    note = f'{method}, {NETWORKS[network]}, {DOMAINS[domains]}'
    if published is not None and domains in TEST_SERVERS:
        note += '; published on the test server'
    if remark:
        note += f'; {remark}'
    return Experiment(id, name, trained(f'configs/{config}.py'), published, metric, note)
