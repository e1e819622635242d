"""The experiment table: what `python run_experiments.py --exp ID` runs.

Ids: 0 the demo, 1-8 SePiCo, 10-19 DAFormer and its baselines, 20-24 HRDA, 25-29 and 36 MIC, 30-35
and 39 CDDA, 37-38 AdvSeg and MinEnt, 40-47 SDCA, 48 FADA, 70-79 further SePiCo (configs derived
from 1-8), 90-95 CDDA as published, 100 + N the toy version of experiment N's method.
Published figures are mIoU in percent on the target's evaluation set, as the paper or its code base
states them: 19 classes, 16 or 13 where the source is SYNTHIA. ``None``: no figure to compare with.

A module a family of methods; none imports anything heavy, so that the front door lists and plans
without torch.
"""

from collections.abc import Iterable

from experiments import adversarial, cdda, daformer, hrda, mic, sdca, sepico, toy
from experiments.rows import of_config
from mmseg_uda.engine.experiment import Experiment

__all__ = ['EXPERIMENTS', 'TABLE', 'by_id', 'of_config']

TABLE = (
    toy.DEMO,
    *sepico.ROWS,
    *daformer.ROWS,
    *hrda.ROWS,
    *mic.ROWS,
    *adversarial.ROWS,
    *cdda.ROWS,
    *sdca.ROWS,
    *sepico.DERIVED_ROWS,
    *toy.ROWS,
)


def by_id(table: Iterable[Experiment]) -> dict[int | None, Experiment]:
    """The experiments under their ids.

    Raises:
        ValueError: two have the same id.
    """
    experiments: dict[int | None, Experiment] = {}
    for experiment in table:
        other = experiments.setdefault(experiment.id, experiment)
        if other is not experiment:
            raise ValueError(f'{other.name} and {experiment.name} have the same id {other.id}')
    return experiments


EXPERIMENTS = by_id(TABLE)
