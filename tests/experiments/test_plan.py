"""Plans of experiments, and overrides of their configs."""

from pathlib import Path

import pytest

from mmseg_uda.config import parse_overrides
from mmseg_uda.errors import UserError
from mmseg_uda.experiments.experiment import Experiment, Stage
from mmseg_uda.experiments.overview import describe
from mmseg_uda.experiments.plan import Plan
from tests.experiments.runs import experiment


def test_unknown_reference_is_an_error(trainings):
    stages = (Stage('only', 'config.py', options={'load_from': '{nobody.checkpoint}'}),)
    with pytest.raises(UserError, match=r'no earlier stage has the output \{nobody.checkpoint\}'):
        describe(Plan(Experiment(None, 'x', stages), 'out'))


def test_describe_runs_nothing(trainings):
    text = describe(Plan(experiment(), 'out'))
    assert 'input first.checkpoint: out/first/iter_4.pth (does not exist yet)' in text
    assert text.count('status: to do') == 3
    assert not Path('out').exists() and not trainings.runs


def test_missing_and_broken_configs(trainings):
    for name, text, message in (
        ('none.py', None, 'none.py does not exist'),
        ('broken.py', 'a = (', 'broken.py cannot be read'),
        ('empty.py', 'a = 1', 'no train_cfg.max_iters'),
    ):
        if text:
            Path(name).write_text(text)
        with pytest.raises(UserError, match=message):
            describe(Plan(Experiment(None, 'x', (Stage('a', name),)), 'out'))


def test_overrides_from_the_command_line():
    assert parse_overrides(['a.b=1', 'c=x,y', 'd=[(1,2)]', 'e=None', 'f=k=v']) == {
        'a.b': 1,
        'c': ['x', 'y'],
        'd': [(1, 2)],
        'e': None,
        'f': 'k=v',
    }
    for wrong in ('novalue', '=1', 'a=[1,2'):
        with pytest.raises(UserError, match='--cfg-options'):
            parse_overrides([wrong])
