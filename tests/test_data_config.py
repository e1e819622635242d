"""JSON and YAML configs are data: whatever they contain, no code of theirs runs."""

import json
import os
import pickle
import sys
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.runner import load_checkpoint

from mmseg_uda.config import read_config
from mmseg_uda.engine.config import load_config
from mmseg_uda.engine.train import build_runner, train
from mmseg_uda.errors import UserError

SUFFIXES = ('.json', '.yaml', '.yml')
HEAD = 'model.segmentor.decode_head'


class Poison:
    """Runs code when it is unpickled."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self):
        return os.mkdir, (str(self.flag),)


@pytest.fixture
def flag(tmp_path, monkeypatch) -> Path:
    """A path that exists as soon as ``evil.py`` is imported or run, or ``evil.pkl`` is opened."""
    flag = tmp_path / 'flag'
    code = f'import os\nos.makedirs({str(flag)!r}, exist_ok=True)\n'
    (tmp_path / 'evil.py').write_text(code)
    (tmp_path / 'evil.pkl').write_bytes(pickle.dumps(Poison(flag)))
    monkeypatch.syspath_prepend(tmp_path)
    yield flag
    sys.modules.pop('evil', None)


def write(path: Path, config: dict) -> Path:
    text = json.dumps(config)
    path.write_text(text if path.suffix == '.json' else yaml.safe_dump(json.loads(text)))
    return path


def as_data(path: str) -> dict:
    """A Python config of ours as JSON."""
    config = read_config(path).to_dict()
    del config['custom_imports']
    return json.loads(json.dumps(config))


def put(config: dict, place: str, value) -> None:
    *parents, leaf = place.split('.')
    for name in parents:
        config = config[int(name) if isinstance(config, list) else name]
    config[leaf] = value


@pytest.mark.parametrize('suffix', ['.json', '.yaml'])
@pytest.mark.parametrize(
    ('place', 'value', 'message'),
    [
        ('_base_', 'evil.py', '_base_ is only possible in Python configs'),
        ('custom_imports', dict(imports=['evil']), 'custom_imports is only possible in Python'),
        ('model._delete_', True, 'model._delete_ is only possible in Python'),
        ('optim_wrapper._scope_', 'evil', 'optim_wrapper._scope_ is only possible in Python'),
        ('work_dir', '{{ fileDirname }}', 'work_dir = .*have no substitutions'),
        ('work_dir', '{{$HOME:x}}', 'work_dir = .*have no substitutions'),
        ('model.type', 'evil.run', "model.type = 'evil.run' is not the name"),
        ('model.type', 'evil', "model.type = 'evil' is not the name"),
        ('model.type', ['SelfTraining'], r'model.type = \[.*is not the name'),
        ('custom_hooks', [[], [dict(type='evil.run')]], "custom_hooks.1.0.type = 'evil.run'"),
        (f'{HEAD}.norm_cfg', dict(type='subprocess.call'), "norm_cfg.type = 'subprocess.call'"),
        ('train_dataloader.collate_fn.type', 'evil.run', 'train_dataloader.collate_fn.type'),
        ('optim_wrapper.constructor', 'evil.run', 'optim_wrapper.constructor'),
        ('runner_type', 'evil.run', 'runner_type'),
        ('default_scope', 'evil', "default_scope = 'evil' is not 'mmseg'"),
        (
            f'{HEAD}.loss_decode',
            dict(type='CrossEntropyLoss', class_weight='evil.pkl'),
            "loss_decode.class_weight = 'evil.pkl' is a file that can run code",
        ),
    ],
)
def test_nothing_of_it_runs(place, value, message, suffix, flag, tmp_path, tiny_config):
    config = as_data(tiny_config)
    put(config, place, value)
    path = write(tmp_path / f'config{suffix}', config)
    with pytest.raises(UserError, match=message) as error:
        build_runner(load_config(path, work_dir=tmp_path / 'run'))
    assert str(path) in str(error.value) and '\n' not in str(error.value)
    assert not flag.exists()


def test_nor_of_its_test_set(flag, tmp_path, tiny_config):
    path = write(tmp_path / 'set.json', dict(test_set=dict(type='evil.run')))
    with pytest.raises(UserError, match="set.json: test_set.type = 'evil.run'"):
        load_config(tiny_config, test_set=path)
    assert not flag.exists()


def test_nor_what_yaml_would_construct(flag, tmp_path):
    path = tmp_path / 'config.yaml'
    path.write_text(f'model: !!python/object/apply:os.mkdir [{flag}]\n')
    for read in (read_config, load_config):
        with pytest.raises(UserError, match='config.yaml cannot be read: .*python/object'):
            read(path)
    assert not flag.exists()


def test_nor_what_it_names_on_the_command_line(flag, tmp_path, tiny_config):
    path = write(tmp_path / 'config.json', as_data(tiny_config))
    with pytest.raises(UserError, match="model.type = 'evil.run' is not the name"):
        load_config(path, {'model.type': 'evil.run'})
    assert not flag.exists()


def test_nor_a_checkpoint_that_mmengine_reads(flag, tmp_path):
    torch.save(dict(state_dict=Poison(flag)), tmp_path / 'poison.pth')
    with pytest.raises(pickle.UnpicklingError):
        load_checkpoint(torch.nn.Linear(1, 1), str(tmp_path / 'poison.pth'))
    assert not flag.exists()


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{', 'cannot be read'),
        ('[1]', 'not a mapping'),
        ('', 'cannot be read'),
        ('[' * 100_000, 'cannot be read'),
        ('{"text": 1}', 'cannot be read: .*text is reserved'),
    ],
)
def test_broken_files(text, message, tmp_path):
    (tmp_path / 'config.json').write_text(text)
    with pytest.raises(UserError, match=f'config.json.*{message}'):
        load_config(tmp_path / 'config.json')


@pytest.mark.parametrize(('text', 'key'), [('a: {2026-01-01: 1}', 'a.2026-01-01'), ('3: 1', '3')])
def test_yaml_keys_are_text(text, key, tmp_path):
    (tmp_path / 'config.yaml').write_text(text)
    with pytest.raises(UserError, match=f'the key {key} must be a string'):
        load_config(tmp_path / 'config.yaml')


@pytest.mark.parametrize(
    'name',
    [
        'cdda/cdda_sepico_dist_mitb5_gta2cs',
        'mic/mic_hrda_mitb5_gta2cs',
        'sdca/sdca_vgg16_gta2cs',
        'fada/fada_r101_gta2cs',
    ],
)
def test_our_configs_are_the_same_as_data(name, tmp_path):
    path = f'configs/{name}.py'
    configs = [as_data(path)]
    for suffix in SUFFIXES:
        config = load_config(write(tmp_path / f'config{suffix}', configs[0]), work_dir='run')
        configs.append(json.loads(json.dumps(config.to_dict())))
    expected = load_config(path, work_dir='run').to_dict()
    del expected['custom_imports']
    assert configs[1:] == 3 * [json.loads(json.dumps(expected))]


@pytest.mark.parametrize('suffix', ['.json', '.yaml'])
def test_training_from_data(suffix, tmp_path, tiny_config, one_thread):
    path = write(tmp_path / f'config{suffix}', as_data(tiny_config))
    states = []
    for source in (Path(tiny_config), path):
        config = load_config(source, {'train_cfg.max_iters': 2}, work_dir=tmp_path / source.stem)
        states.append(torch.load(train(config))['state_dict'])
    torch.testing.assert_close(*states, rtol=0, atol=0)
    load_config(tmp_path / path.stem / path.name)  # the run's copy of the config
