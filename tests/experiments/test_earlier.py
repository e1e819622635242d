"""Records of an earlier version."""

import pytest

from mmseg_uda.experiments.earlier import CALLS, current_settings


@pytest.mark.parametrize('old', CALLS)
def test_old_calls_are_read_as_todays(old):
    now = {'kind': 'command', 'call': CALLS[old], 'options': {'root': '{a.b}'}}
    assert current_settings({'kind': 'command', 'call': old, 'options': {'argv': []}}, now) == now


def test_other_settings_stay_as_they_are():
    now = {'kind': 'command', 'call': 'a:b', 'options': {}}
    for recorded in (
        {'kind': 'train'},
        {'call': 'a:b', 'options': {'x': 1}},
        {'call': next(iter(CALLS))},
    ):
        assert current_settings(recorded, now) == recorded
