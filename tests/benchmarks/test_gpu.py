"""The GPU benchmark: all rows at a small size on the CPU; time limits and errors."""

import json
import time

import pytest
import torch

from benchmarks import gpu_rows
from benchmarks.gpu import main, run_rows
from benchmarks.gpu_rows import EXPERIMENTS, FULL, REHEARSAL, Row, all_rows, load
from mmseg_uda.errors import UserError
from mmseg_uda.experiments.table import load_table


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'gpu.json'


def in_an_hour() -> float:
    return time.monotonic() + 3600


def row(name='a', kind='step', error=None, started=None) -> Row:
    """A row with some figures or a given error; it enters its name into ``started``."""

    def measure(setting, left):
        if started is not None:
            started.append(name)
        if error is not None:
            raise error
        metrics = dict(seconds=0.5, images=2, peak_bytes=3 * 2**30)
        return metrics | dict(rows=4, other_best_rows=0, largest_difference=0.0)

    return Row(name, kind, 'fp32', measure)


def rows_of(out) -> dict:
    return json.loads(out.read_text())['rows']


def test_the_configs_are_those_of_the_experiments():
    for number, (config, _) in EXPERIMENTS.items():
        assert config in {stage.config for stage in load_table()[number].stages}


def test_the_rows():
    rows = all_rows()
    assert len({row.name for row in rows}) == len(rows) == 1 + 2 * 7 + 2 + 3
    assert {row.kind for row in rows} == {'tests', 'step', 'search', 'evaluation'}


@pytest.mark.parametrize('setting', [FULL, REHEARSAL])
@pytest.mark.parametrize('experiment', EXPERIMENTS)
def test_every_config_takes_its_options(experiment, setting):
    config, about = load(experiment, setting)
    assert config.model.segmentor.pretrained is None
    small = 'model.segmentor.backbone' in ' '.join(about['cfg_options'])
    assert small == (setting is REHEARSAL)


@pytest.mark.slow
def test_rehearsal(out, capsys, monkeypatch):
    has_gpu = torch.cuda.is_available()
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    # Every kind of row; the omitted rows differ only in their configs.
    steps = [f'step, exp {what}' for what in ('1, fp32', '10, fp32', '34, bf16', '40, fp32')]
    wanted = ['device tests', *steps, 'search, 2 at a time', 'evaluation, exp 20']
    rows = [row for row in all_rows() if row.name in wanted]
    assert run_rows(rows, REHEARSAL, out, in_an_hour(), 'python -m benchmarks.gpu') == 0
    found = rows_of(out)
    assert list(found) == wanted
    for result in found.values():
        assert result['device'] == 'CPU' and result['torch'] == torch.__version__
        assert result['command'] == 'python -m benchmarks.gpu' and 'error' not in result
        if result['kind'] != 'tests':
            assert result['seconds'] > 0 and result['peak_bytes'] > 0
    assert ('passed' if has_gpu else 'skipped') in found['device tests']['result']
    # Steps do the same work as those of trained networks.
    assert 'tgt.aux.loss_cl' in found['step, exp 1, fp32']['losses']
    assert {'tgt.loss', 'masked.decode.loss_seg'} <= found['step, exp 34, bf16']['losses'].keys()
    assert found['search, 2 at a time']['other_best_rows'] == 0

    capsys.readouterr()
    main(['--table', '--out', str(out)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(' | ')[0].strip('| ') for line in lines[4:]] == wanted


def test_a_next_call_goes_on_with_what_is_missing(out):
    started = []
    rows = [row(name, started=started) for name in 'abc']
    run_rows(rows[:1], REHEARSAL, out, in_an_hour(), '')
    assert list(rows_of(out)) == ['a']
    assert run_rows(rows, REHEARSAL, out, in_an_hour(), '') == 0
    assert started == list(rows_of(out)) == ['a', 'b', 'c']


def test_the_file_is_written_after_every_row(out):
    with pytest.raises(KeyboardInterrupt):
        rows = [row('a'), row('b', error=KeyboardInterrupt())]
        run_rows(rows, REHEARSAL, out, in_an_hour(), '')
    assert list(rows_of(out)) == ['a']


def test_a_row_that_does_not_fit_is_not_started(out, capsys):
    run_rows([row('a', kind='step'), row('b', kind='search')], REHEARSAL, out, in_an_hour(), '')
    content = json.loads(out.read_text())
    content['rows']['a']['took'] = 100.0
    out.write_text(json.dumps(content))
    started = []
    rows = [row('c', 'step', started=started), row('d', 'search', started=started)]
    rows.append(row('e', 'evaluation', started=started))  # the first of its kind: as long as any
    run_rows(rows, REHEARSAL, out, time.monotonic() + 50, '')
    assert started == ['d']
    printed = capsys.readouterr().out
    assert (
        'c: not started' in printed and 'e: not started' in printed and 'missing: c; e' in printed
    )


def test_no_row_is_started_after_the_time(out):
    started = []
    run_rows([row(started=started)], REHEARSAL, out, time.monotonic() - 1, '')
    assert started == [] and not out.exists()


def test_errors_are_results(out, capsys):
    started = []
    no_memory = torch.OutOfMemoryError('CUDA out of memory.\nTried to allocate 2.00 GiB')
    rows = [
        row('a', error=no_memory, started=started),
        row('b', error=ValueError('what?'), started=started),
        row('c', started=started),
    ]
    assert run_rows(rows, REHEARSAL, out, in_an_hour(), '') == 1
    found = rows_of(out)
    assert found['a']['error'].startswith('out of memory: ')
    assert found['a']['error'].endswith('memory. Tried to allocate 2.00 GiB')
    assert found['b']['error'] == 'ValueError: what?' and 'measure' in found['b']['traceback']
    assert 'error' not in found['c']
    main(['--table', '--out', str(out)])
    assert '| b | ValueError: what? |  |' in capsys.readouterr().out

    # What failed is run again after what is missing, a row that needs more memory is not.
    rows[1] = row('b', started=started)
    rows.append(row('d', started=started))
    run_rows(rows, REHEARSAL, out, in_an_hour(), '')
    assert started[3:] == ['d', 'b'] and 'error' not in rows_of(out)['b']


def test_a_process_that_lost_its_gpu_ends(out, capsys):
    started = []
    rows = [row('a', error=torch.AcceleratorError('illegal access')), row('b', started=started)]
    assert run_rows(rows, REHEARSAL, out, in_an_hour(), '') == 1
    assert started == [] and list(rows_of(out)) == ['a']
    assert 'run the command again' in capsys.readouterr().out


def test_rows_of_two_devices_do_not_mix(out):
    run_rows([row()], REHEARSAL, out, in_an_hour(), '')
    out.write_text(out.read_text().replace('CPU', 'NVIDIA X'))
    with pytest.raises(UserError, match="row 'a' is of NVIDIA X, this is CPU; choose another"):
        run_rows([row('b')], REHEARSAL, out, in_an_hour(), '')
    assert list(rows_of(out)) == ['a']


@pytest.mark.parametrize('text', ['{', '[]', '{"rows": {}}', '{"schema": 0, "rows": {}}'])
def test_another_file_is_not_overwritten(text, out):
    out.write_text(text)
    with pytest.raises(UserError, match='gpu.json holds no rows of this benchmark'):
        main(['--table', '--out', str(out)])
    assert out.read_text() == text


def test_without_rows_and_without_a_gpu(out, capsys, monkeypatch):
    main(['--table', '--out', str(out)])
    assert capsys.readouterr().out == 'Nothing measured yet.\n'
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(UserError, match='finds no GPU'):
        main(['--out', str(out)])
    assert not out.exists()


@pytest.mark.parametrize(
    ('code', 'left', 'error'),
    [
        ('import sys; sys.exit("No module named pytest")', 60, 'pytest: No module named pytest'),
        ('import time; time.sleep(60)', 0.1, None),
    ],
)
def test_device_tests_that_cannot_run(code, left, error, tmp_path, monkeypatch):
    (tmp_path / 'pytest.py').write_text(code)
    monkeypatch.setattr(gpu_rows, 'ROOT', tmp_path)
    if error is None:
        with pytest.raises(TimeoutError, match='did not finish within 0 s'):
            gpu_rows.run_device_tests(REHEARSAL, left)
    else:
        assert gpu_rows.run_device_tests(REHEARSAL, left)['error'] == error
