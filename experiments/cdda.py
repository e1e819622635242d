"""CDDA on three hosts, and on SePiCo, which nobody published.

Published figures: the best of 40 evaluations on the target's validation images (``test_best``).
"""

from dataclasses import replace

from experiments.rows import row, trained
from mmseg_uda.engine.experiment import Experiment, Stage


def aligned(config: str, bank: str) -> tuple[Stage, ...]:
    """Make CDDA's bank of source crops with the config's seed, once, then train and test."""
    distributions = Stage(
        'depth_distributions',
        kind='command',
        call='tools.depth_distributions:main',
        options={'argv': [config, '--out', bank]},
        outputs={'bank': bank},
        folder=f'{bank}/stage',
    )
    train, test = trained(config)
    options = {'model.parts.cdda.bank': '{depth_distributions.bank}'}
    return distributions, replace(train, options=options), test


def cdda(
    id: int, host: str, source: str, method: str, published: float, metric: str = 'mIoU'
) -> Experiment:
    """A row with a bank of its own, in ``preprocessed/<source>_<host>``.

    Tested are the last weights, as its host's are, and those that did best in validation, which
    the published figure is of.
    """
    config = f'cdda/cdda_{host}_mitb5_{source}2cs'
    *stages, test = aligned(f'configs/{config}.py', f'preprocessed/{source}_{host}')
    best = replace(test, name='test_best', options={'checkpoint': '{train.best}'})
    plain = row(id, f'cdda_{host}_{source}2cs', config, method, published, metric)
    return replace(plain, stages=(*stages, test, best))


ROWS = (
    cdda(30, 'daformer', 'gta', 'CDDA(DAFormer)', 69.6),
    cdda(31, 'daformer', 'synthia', 'CDDA(DAFormer)', 63.2, 'mIoU16'),
    cdda(32, 'hrda', 'gta', 'CDDA(HRDA)', 75.1),
    cdda(33, 'hrda', 'synthia', 'CDDA(HRDA)', 67.3, 'mIoU16'),
    cdda(34, 'mic', 'gta', 'CDDA(MIC(HRDA))', 76.9),
    cdda(35, 'mic', 'synthia', 'CDDA(MIC(HRDA))', 68.7, 'mIoU16'),
    Experiment(
        39,
        'cdda_sepico_dist_gta2cs',
        aligned('configs/cdda/cdda_sepico_dist_mitb5_gta2cs.py', 'preprocessed/gta_sepico'),
        note='CDDA(SePiCo DistCL), MiT-B5, GTA -> Cityscapes; a combination not published',
    ),
)
