"""SePiCo (Xie et al., TPAMI 2023): three contrasts, two networks, three pairs of domains."""

from dataclasses import replace

from experiments.rows import row
from mmseg_uda.experiments.experiment import Experiment

CONTRASTS = {'dist': 'DistCL', 'bank': 'BankCL', 'proto': 'ProtoCL'}


def sepico(
    id: int,
    contrast: str,
    network_and_domains: str,
    published: float,
    metric: str = 'mIoU',
    remark: str = '',
) -> Experiment:
    """A row of the paper's tables. Those of Dark Zurich train and do not test."""
    name = f'sepico_{contrast}_{network_and_domains}'
    method = f'SePiCo {CONTRASTS[contrast]}'
    experiment = row(id, name, f'sepico/{name}', method, published, metric, remark=remark)
    if name.endswith('cs2dzur'):
        return replace(experiment, stages=experiment.stages[:1])
    return experiment


ROWS = (
    sepico(1, 'dist', 'dlv2_gta2cs', 61.0),
    sepico(2, 'bank', 'dlv2_gta2cs', 59.8),
    sepico(3, 'proto', 'dlv2_gta2cs', 58.8),
    sepico(4, 'dist', 'mitb5_gta2cs', 70.3),
    sepico(5, 'bank', 'mitb5_gta2cs', 68.7),
    sepico(6, 'proto', 'mitb5_gta2cs', 68.5),
    sepico(7, 'dist', 'dlv2_cs2dzur', 45.4),
    sepico(8, 'dist', 'mitb5_cs2dzur', 54.2),
)

# The paper's other rows: no config of them is published, ours are derived from those of 1-8.
DERIVED = 'derived config'
DERIVED_ROWS = (
    sepico(70, 'dist', 'dlv2_synthia2cs', 58.1, 'mIoU16', DERIVED),
    sepico(71, 'bank', 'dlv2_synthia2cs', 57.4, 'mIoU16', DERIVED),
    sepico(72, 'proto', 'dlv2_synthia2cs', 56.8, 'mIoU16', DERIVED),
    sepico(73, 'dist', 'mitb5_synthia2cs', 64.3, 'mIoU16', DERIVED),
    sepico(74, 'bank', 'mitb5_synthia2cs', 63.3, 'mIoU16', DERIVED),
    sepico(75, 'proto', 'mitb5_synthia2cs', 62.9, 'mIoU16', DERIVED),
    sepico(76, 'bank', 'dlv2_cs2dzur', 44.1, remark=DERIVED),
    sepico(77, 'proto', 'dlv2_cs2dzur', 42.6, remark=DERIVED),
    sepico(78, 'bank', 'mitb5_cs2dzur', 53.3, remark=DERIVED),
    sepico(79, 'proto', 'mitb5_cs2dzur', 52.7, remark=DERIVED),
)
