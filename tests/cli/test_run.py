import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_uda.cli import run
from mmseg_uda.config import read_config
from mmseg_uda.errors import UserError
from mmseg_uda.experiments.overview import describe
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.experiments.table import load_table

ROOT = Path(__file__).parents[2]
EXPERIMENTS = load_table()
TRAINED = sorted({s.config for e in EXPERIMENTS.values() for s in e.stages if s.config})


def test_list_shows_every_experiment(capsys):
    run.main(['--list'])
    lines = capsys.readouterr().out.splitlines()
    for experiment in EXPERIMENTS.values():
        (line,) = [line for line in lines if line.startswith(f'{experiment.id:3} ')]
        assert experiment.name in line
        assert all(f'{value:.1f}' in line for value in experiment.published.values())


@pytest.mark.parametrize('config', TRAINED)
def test_every_config_of_the_table_loads(config):
    from mmengine.config import Config

    loaded = Config.fromfile(ROOT / config, import_custom_modules=False)
    assert loaded.train_cfg.max_iters > 0
    assert {'model', 'train_dataloader', 'test_dataloader', 'optim_wrapper'} <= loaded.keys()


def test_every_config_that_trains_is_in_the_table():
    files = {
        str(path.relative_to(ROOT))
        for path in (ROOT / 'configs').rglob('*.py')
        if '_base_' not in path.parts
    }
    assert files == set(TRAINED)


@pytest.mark.parametrize('id', EXPERIMENTS)
def test_every_experiment_can_be_planned(id, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = describe(Plan(EXPERIMENTS[id], 'out'))
    assert text.count('status: to do') == len(EXPERIMENTS[id].stages)
    assert not list(tmp_path.iterdir())


def test_dry_run_of_the_demo(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run.main(['--exp', '0', '--dry-run', '--seed', '2'])
    text = capsys.readouterr().out
    assert 'self_training.checkpoint: work_dirs/demo/seed2/self_training/iter_' in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    'ids, seed',
    [
        ((1, 2, 3, 4, 5, 6), 76),  # SePiCo
        ((7, 8, 76, 77, 78, 79), 42),
        ((10, 30, 31, 90, 91), 0),  # DAFormer, CDDA(DAFormer)
        ((20, 32, 33, 92, 93), 1),  # HRDA
        ((25, 34, 35, 94, 95), 2),  # MIC
    ],
)
def test_trainings_have_the_published_seeds(ids, seed, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for id in ids:
        run.main(['--exp', str(id), '--dry-run'])
        text = capsys.readouterr().out
        assert f' stages in work_dirs/{EXPERIMENTS[id].name}/seed{seed}\n' in text
        run.main(['--exp', str(id), '--dry-run', '--seed', '0'])
        assert f' stages in work_dirs/{EXPERIMENTS[id].name}/seed0\n' in capsys.readouterr().out


@pytest.mark.parametrize('id', [15, 16])
def test_figures_of_dacs_own_code_are_not_those_of_daformers_dacs(id, capsys):
    run.main(['--list'])
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith(f'{id:3} ')]
    assert line.split()[2:4] == ['-', "DAFormer's"] and not EXPERIMENTS[id].published


@pytest.mark.parametrize('id', range(30, 36))
def test_cdda_has_rows_of_both_forms(id):
    documented, published = EXPERIMENTS[id], EXPERIMENTS[id + 60]
    assert not documented.published and documented.note == 'as in the paper'
    assert min(published.published.values()) > 60 and published.note == 'as in the published code'
    assert (published.method, published.domains) == (documented.method, documented.domains)
    # one bank for both, built with the same seed
    assert published.stages[0] == documented.stages[0]
    ours, theirs = (read_config(e.stages[1].config) for e in (documented, published))
    assert ours.randomness == theirs.randomness
    assert list(ours.model.addons) == list(theirs.model.addons)
    cdda = theirs.model.addons.cdda
    assert cdda.pop('as_published') is True
    assert theirs.to_dict() == ours.to_dict()


def test_cdda_tests_the_last_and_the_best_weights(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run.main(['--exp', '30', '--dry-run'])
    _, last, best = capsys.readouterr().out.split(' test configs/cdda/')
    assert 'input train.checkpoint' in last and 'iter_40000.pth' in last
    assert 'input train.best' in best and 'train/best_mIoU.pth' in best


@pytest.mark.parametrize(
    'name, close', [('9', '10'), ('daformr_mitb5_gta2cs', 'daformer_mitb5_gta2cs')]
)
def test_unknown_experiment_names_close_ones(name, close):
    with pytest.raises(UserError, match=f'no experiment {name}; close: .*{close}'):
        run.main(['--exp', name])


@pytest.mark.parametrize(
    'arguments', [['--exp', '0', '--gpus', '0'], ['--exp', '0', '--seed', '-1'], [], ['--exp']]
)
def test_bad_arguments_end_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        run.main(arguments)
    assert error.value.code == 2 and capsys.readouterr().err


def test_one_stage_and_given_results(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('a.pth').touch()
    given = ['--start-from', 'sdca=a.pth', '--start-from', 'source=a.pth']
    run.main(['--exp', '40', '--dry-run', '--only', 'pseudo_labels', *given])
    text = capsys.readouterr().out
    assert text.count(f'status: given: {tmp_path}/a.pth') == 2
    assert text.count('status: to do') == 1 and text.count('status: not run') == 5
    for arguments in (['--only', 'x'], ['--start-from', 'x=a.pth']):
        with pytest.raises(UserError, match="no stage 'x'; its stages: source, test_source, dist"):
            run.main(['--exp', '40', *arguments])
    assert [path.name for path in tmp_path.iterdir()] == ['a.pth']


def test_resume_alone_starts_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match='nothing was started in work_dirs/demo/seed3 '):
        run.main(['--exp', '0', '--seed', '3', '--resume'])
    assert not list(tmp_path.iterdir())


def test_bad_input_is_one_clear_message():
    done = subprocess.run(
        [sys.executable, 'run_experiments.py', '--config', 'no/such.py'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f'error: config no/such.py does not exist (looked for in {ROOT})\n'
    assert not (ROOT / 'work_dirs' / 'such').exists()


def test_a_config_may_be_named_without_its_ending(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = []
    for name in ('own.v2', 'own.v2.py'):
        Path('own.v2.py').write_text(f'_base_ = {str(ROOT / TRAINED[0])!r}\n')
        run.main(['--config', name, '--dry-run'])
        shown.append(capsys.readouterr().out.replace(f' {name}\n', '\n'))
    assert shown[0] == shown[1] and 'work_dirs/own.v2/seed0' in shown[0]


def test_results_stand_beside_the_published_figure(tmp_path):
    experiment = EXPERIMENTS[11]
    plan = Plan(experiment, tmp_path)
    assert run.results(plan) == f'files: {tmp_path}'
    folder = tmp_path / 'test'
    folder.mkdir()
    (folder / 'scores.json').write_text('{"mIoU": 51.25, "mIoU16": 60.859, "classes": {}}')
    lines = run.results(plan).splitlines()
    assert lines[0].split() == ['mIoU', 'mIoU16']
    assert lines[1].split() == ['test', '51.25', '60.86']
    assert lines[2].split() == ['published', '-', '60.90']


def test_each_stage_has_its_published_figure(tmp_path):
    plan = Plan(EXPERIMENTS[53], tmp_path)
    for stage, score in (('test_abn', 30.5), ('test_dasac', 50.25)):
        (tmp_path / stage).mkdir()
        content = f'{{"mIoU": 1.0, "mIoU16": {score}, "classes": {{}}}}'
        (tmp_path / stage / 'scores.json').write_text(content)
    rows = [line.split() for line in run.results(plan).splitlines()[1:-1]]
    assert rows == [
        ['test_abn', '1.00', '30.50'],
        ['published', '-', '36.30'],
        ['test_dasac', '1.00', '50.25'],
        ['published', '-', '52.60'],
    ]
