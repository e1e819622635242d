"""Initial class distributions: all source images once, also after an interruption."""

import pytest
import torch
from mmengine.config import Config
from torch.utils.data import default_collate

from mmseg_uda.cli import init_statistics as tool
from mmseg_uda.errors import UserError
from mmseg_uda.evaluation.inference import build_segmentor
from mmseg_uda.preparation import class_distributions as init_statistics
from mmseg_uda.preparation.class_distributions import initialise_statistics
from mmseg_uda.uda.components.reduce_labels import nearest_labels
from tests.tiny_training import write_config

pytestmark = pytest.mark.usefixtures('one_thread')

# No random transforms, so that a plain loop can reproduce it; no workers, so that errors show here.
MORE = """
source_pipeline = [
    dict(type='LabelFirstCrop', scale=(128, 64), crop_size=(64, 128)), dict(type='PackDomain')
]
train_dataloader.update(num_workers=0, persistent_workers=False)
train_dataloader['dataset']['source']['pipeline'] = source_pipeline
"""


@pytest.fixture(scope='module')
def given(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp('given')
    config = write_config(folder / 'config.py', world, MORE)
    checkpoint = folder / 'iter_1.pth'
    from mmengine.registry import DefaultScope
    from mmseg.registry import MODELS

    import mmseg_uda.register  # noqa: F401

    with DefaultScope.overwrite_default_scope('mmseg'), torch.random.fork_rng():
        torch.manual_seed(3)
        network = MODELS.build({**Config.fromfile(config).model.segmentor, 'pretrained': None})
        network.init_weights()
    torch.save(
        {'state_dict': {f'student.{n}': v for n, v in network.state_dict().items()}}, checkpoint
    )
    return config, str(checkpoint)


@pytest.fixture(scope='module')
def whole(given, tmp_path_factory):
    folder = tmp_path_factory.mktemp('whole')
    tool.main([*given, str(folder)])
    return folder


def read(folder):
    return {
        name: torch.load(folder / name, weights_only=True)
        for name in ('feat_dist.pth', 'out_dist.pth')
    }


def test_the_files_hold_the_statistics_of_all_source_images(float64, given, tmp_path):
    initialise_statistics(*given, str(tmp_path))
    config = init_statistics.load_config(given[0])
    network, source = build_segmentor(config, given[1]), init_statistics.Source(config)
    assert len(source) == 8
    rows = {'feat_dist.pth': [], 'out_dist.pth': []}
    own = {name: [] for name in rows}
    for i in range(len(source)):
        batch = default_collate([source[i]])
        batch = network.data_preprocessor({'source': batch}).source
        with torch.no_grad():
            features = network.features(batch.images)
            maps = dict(zip(rows, (features[-1], network.decode(features)), strict=True))
        for name, cells in maps.items():
            rows[name].append(cells[0].flatten(1).T)
            own[name].append(nearest_labels(batch.labels, cells.shape[2:]).flatten())
    for name, content in read(tmp_path).items():
        vectors, labels = torch.cat(rows[name]), torch.cat(own[name])
        counts = torch.bincount(labels[labels != 255], minlength=19)
        assert torch.equal(content['Amount'], counts.float())
        for k in counts.nonzero().flatten():
            mean = vectors[labels == k].mean(dim=0)
            variance = vectors[labels == k].var(dim=0, correction=0)
            for entry, expected in (('Mean', mean), ('CoVariance', variance)):
                rounding = dict(rtol=2**-23, atol=1e-9)  # the files are float32
                torch.testing.assert_close(content[entry][k].double(), expected, **rounding)


def test_every_image_of_a_list_of_sources_is_read_once(given):
    config = init_statistics.load_config(given[0])
    one = init_statistics.Source(config)
    config.train_dataloader.dataset.source = [
        config.train_dataloader.dataset.source | dict(weight=weight) for weight in (1, 3)
    ]
    both = init_statistics.Source(config)
    assert len(both) == 16
    assert [both[i]['path'] for i in range(16)] == [one[i % 8]['path'] for i in range(16)]


def break_off(given, folder, monkeypatch, after):
    seen = []

    def observe(*arguments):
        if len(seen) == after:
            raise KeyboardInterrupt
        seen.append(1)
        original(*arguments)

    original = init_statistics.observe
    with monkeypatch.context() as patch:
        patch.setattr(init_statistics, 'observe', observe)
        with pytest.raises(KeyboardInterrupt):
            initialise_statistics(*given, str(folder), save_every=2)


def test_what_broke_off_goes_on_to_the_same_files(given, whole, tmp_path, monkeypatch):
    break_off(given, tmp_path, monkeypatch, after=5)
    assert [path.name for path in tmp_path.iterdir()] == ['progress.pth']
    calls, original = [], init_statistics.observe
    monkeypatch.setattr(
        init_statistics, 'observe', lambda *arguments: calls.append(1) or original(*arguments)
    )
    initialise_statistics(*given, str(tmp_path), save_every=2)
    assert len(calls) == 8 - 4  # the fifth was not saved
    for name, content in read(whole).items():
        for entry, value in content.items():
            assert torch.equal(value, read(tmp_path)[name][entry]), (name, entry)
    assert not (tmp_path / 'progress.pth').exists()


def test_the_state_of_another_call_is_refused(given, tmp_path, monkeypatch):
    break_off(given, tmp_path, monkeypatch, after=3)
    with pytest.raises(UserError, match='source.pipeline.0.scale'):
        options = {'train_dataloader.dataset.source.pipeline.0.scale': (256, 128)}
        initialise_statistics(*given, str(tmp_path), cfg_options=options)


def test_a_config_without_source_is_refused(given, tmp_path):
    with pytest.raises(UserError, match='no train_dataloader.dataset.source'):
        initialise_statistics(
            *given, str(tmp_path), cfg_options={'train_dataloader.dataset.source': None}
        )
