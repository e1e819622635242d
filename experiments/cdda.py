"""CDDA on three hosts, and on SePiCo, which nobody published.

The published code does not do what its paper says in two places (see ``docs/methods/cdda.md``), so
the published figures stand beside rows of their own, 90-95. They are the best of 40 evaluations on
the target's validation images (``test_best``).
"""

from dataclasses import replace

from experiments.rows import row, trained
from mmseg_uda.engine.experiment import Experiment, Stage


def aligned(config: str, bank: str, bank_config: str | None = None) -> tuple[Stage, ...]:
    """Make CDDA's bank of source crops with the config's seed, once, then train and test.

    ``bank_config``: of another row that uses the same bank, with the same data and seed.
    """
    distributions = Stage(
        'depth_distributions',
        kind='command',
        call='tools.depth_distributions:main',
        options={'argv': [bank_config or config, '--out', bank]},
        outputs={'bank': bank},
        folder=f'{bank}/stage',
    )
    train, test = trained(config)
    options = {'model.parts.cdda.bank': '{depth_distributions.bank}'}
    return distributions, replace(train, options=options), test


def cdda(
    id: int,
    host: str,
    source: str,
    method: str,
    published: float | None = None,
    metric: str = 'mIoU',
) -> Experiment:
    """A row with the bank ``preprocessed/<source>_<host>``.

    With a published figure it is the published form, else the documented one. Tested are the last
    weights, as its host's are, and those that did best in validation, which the published figure
    is of.
    """
    form = 'documented' if published is None else 'published'
    prefix = 'cdda' if published is None else 'cdda_published'
    config = f'cdda/{prefix}_{host}_mitb5_{source}2cs'
    plain = row(
        id,
        f'{prefix}_{host}_{source}2cs',
        config,
        method,
        published,
        metric,
        remark=f'{form} form',
    )
    *stages, test = aligned(
        f'configs/{config}.py',
        f'preprocessed/{source}_{host}',
        f'configs/cdda/cdda_{host}_mitb5_{source}2cs.py',
    )
    best = replace(test, name='test_best', options={'checkpoint': '{train.best}'})
    return replace(plain, stages=(*stages, test, best))


ROWS = (
    cdda(30, 'daformer', 'gta', 'CDDA(DAFormer)'),
    cdda(31, 'daformer', 'synthia', 'CDDA(DAFormer)'),
    cdda(32, 'hrda', 'gta', 'CDDA(HRDA)'),
    cdda(33, 'hrda', 'synthia', 'CDDA(HRDA)'),
    cdda(34, 'mic', 'gta', 'CDDA(MIC(HRDA))'),
    cdda(35, 'mic', 'synthia', 'CDDA(MIC(HRDA))'),
    cdda(90, 'daformer', 'gta', 'CDDA(DAFormer)', 69.6),
    cdda(91, 'daformer', 'synthia', 'CDDA(DAFormer)', 63.2, 'mIoU16'),
    cdda(92, 'hrda', 'gta', 'CDDA(HRDA)', 75.1),
    cdda(93, 'hrda', 'synthia', 'CDDA(HRDA)', 67.3, 'mIoU16'),
    cdda(94, 'mic', 'gta', 'CDDA(MIC(HRDA))', 76.9),
    cdda(95, 'mic', 'synthia', 'CDDA(MIC(HRDA))', 68.7, 'mIoU16'),
    Experiment(
        39,
        'cdda_sepico_dist_gta2cs',
        aligned('configs/cdda/cdda_sepico_dist_mitb5_gta2cs.py', 'preprocessed/gta_sepico'),
        note='CDDA(SePiCo DistCL), MiT-B5, GTA -> Cityscapes; a combination not published',
    ),
)
