"""``--only STAGE``: one stage alone."""

import re
from pathlib import Path

import pytest

from mmseg_uda.errors import UserError
from mmseg_uda.experiments.overview import describe
from mmseg_uda.experiments.plan import Plan
from tests.experiments.runs import experiment, run, sharing


def test_only_this_stage_is_run(trainings):
    for stage in ('first', 'second'):
        (*_, line) = run(only=stage)
        assert f' {stage}: finished' in line
    assert trainings.runs == [('first', 0, 4), ('second', 0, 4)] and not trainings.tests
    assert ['done already' in line for line in run()] == [True, True, False, False]


def test_a_missing_input_is_named(trainings):
    for prepare in (False, True):
        if prepare:
            trainings.stop_at = 4  # interrupted before it was recorded as finished
            with pytest.raises(KeyboardInterrupt):
                run(only='first')
        message = (
            '--only second reads out/first/iter_4.pth, but stage first is not finished: run '
            '--only first first, give its result by --start-from first=FILE, or leave out --only'
        )
        with pytest.raises(UserError, match=re.escape(message)):
            run(only='second')
    assert [run[0] for run in trainings.runs] == ['first']


def test_an_input_may_be_given(trainings):
    Path('weights.pth').touch()
    run(only='second', start_from={'first': 'weights.pth'})
    assert trainings.load_from == [str(Path('weights.pth').absolute())] and not trainings.tests
    run(only='test')
    assert len(trainings.tests) == 1


def test_an_input_that_was_made_with_other_settings_is_refused(trainings):
    run(only='first')
    with pytest.raises(UserError, match='stage first: its settings have changed'):
        run(only='second', overrides={'optim_wrapper.optimizer.lr': 0.01})


def test_a_shared_input_is_found(trainings):
    run('one', sharing())
    run('two', sharing(), only='adapt')
    assert [run[0] for run in trainings.runs] == ['seed0', 'adapt', 'adapt']


def test_an_unknown_stage_is_refused(trainings):
    with pytest.raises(UserError, match="--only: two_steps has no stage 'third'; its stages: fi"):
        run(only='third')


def test_the_plan_shows_it_alone(trainings):
    text = describe(Plan(experiment(), 'out', only='second'))
    assert text.count('status: not run') == 2 and text.count('status: to do') == 1
