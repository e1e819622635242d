"""The seeds of trainings."""

import json
from pathlib import Path

import pytest

from mmseg_uda.errors import UserError
from mmseg_uda.experiments.experiment import Experiment, Stage
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.experiments.stages import StageRunner
from tests.experiments.runs import CONFIG, run


def test_without_a_seed_each_training_has_its_configs(trainings):
    Path('seeded.py').write_text(CONFIG + 'randomness = dict(seed=76)\n')
    stages = (Stage('first', 'seeded.py'), Stage('second', 'config.py'))
    for seed, folder, expected in (
        (None, 'work_dirs/x/seed76', [76, 0]),
        (3, 'work_dirs/x/seed3', [3, 3]),
    ):
        plan = Plan(Experiment(None, 'x', stages), seed=seed)
        assert plan.work_dir == Path(folder)
        StageRunner(plan, say=lambda _: None).run()
        recorded = [
            json.loads(Path(folder, stage.name, 'stage.json').read_text())['settings']['seed']
            for stage in stages
        ]
        assert recorded == expected and trainings.seeds == expected
        trainings.seeds.clear()


def test_a_seed_among_the_overrides_is_the_seed(trainings):
    stages = (Stage('first', 'config.py'),)
    plan = Plan(Experiment(None, 'x', stages), overrides={'randomness': {'seed': 5}})
    assert plan.work_dir == Path('work_dirs/x/seed5') and plan.seed_of(stages[0]) == 5


def test_the_same_seed_by_option_or_config_is_no_change(trainings):
    Path('config.py').write_text(CONFIG + 'randomness = dict(seed=76)\n')
    run(seed=76)
    assert all('done already' in line for line in run())
    with pytest.raises(UserError, match='seed: 76 -> 0'):
        run(seed=0)


@pytest.mark.parametrize('seed', ["'x'", '-1', '0.5'])
def test_a_configs_seed_that_is_none_is_refused(trainings, seed):
    Path('config.py').write_text(CONFIG + f'randomness = dict(seed={seed})\n')
    with pytest.raises(UserError, match='it must be an integer of at least 0'):
        run()
