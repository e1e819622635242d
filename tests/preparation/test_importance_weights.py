"""Importance weights of target images, from a checkpoint and from existing predictions."""

import json
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_uda.cli.importance_weights import main
from mmseg_uda.datasets.labels import CLASSES
from mmseg_uda.engine.config import load_config
from mmseg_uda.errors import UserError
from mmseg_uda.evaluation.inference import build_segmentor, image_predictor
from mmseg_uda.files import sha256
from mmseg_uda.preparation import importance_weights
from mmseg_uda.preparation.importance_weights import weights_of_labels, weights_of_predictions
from mmseg_uda.tensor_files import read_tensors
from tests.engine.test_resume import kill
from tests.evaluation.tiny import SIZE, image_path, make_tiny
from tests.tiny_training import failure, start

pytestmark = pytest.mark.usefixtures('one_thread')

NAMES = ['aachen_0_leftImg8bit.png', 'aachen_1_leftImg8bit.png', 'bonn_0_leftImg8bit.png']
LAST = 'bonn_0_gtFine_labelIds.png'
# Sleeps before the counts of the second image are added.
STOPPING = """
import sys, time
import torch
torch.set_num_threads(1)
from mmseg_uda.preparation.counts_file import CountsFile
add, names = CountsFile.add, []
def stopping(self, name, counts):
    names.append(name)
    if len(names) == 2:
        print('stopped', flush=True)
        time.sleep(600)
    add(self, name, counts)
CountsFile.add = stopping
from mmseg_uda.cli.importance_weights import main
main(sys.argv[1:])
"""


@pytest.fixture(scope='module')
def tiny(tmp_path_factory) -> tuple[str, str]:
    """A config whose target images are those of the validation, and a checkpoint."""
    folder = tmp_path_factory.mktemp('tiny')
    config, checkpoint = make_tiny(folder)
    target = dict(
        type='CityscapesDataset',
        data_root=str(folder),
        data_prefix=dict(img_path='leftImg8bit/val'),
        pipeline=[],
    )
    with config.open('a') as file:
        file.write(
            f'\ntrain_dataloader = dict(batch_size=1, sampler=dict(type="PositionSampler"), '
            f'dataset=dict(target={target!r}))\n'
        )
    return str(config), str(checkpoint)


@pytest.fixture(scope='module')
def counts(tiny) -> dict[str, np.ndarray]:
    """Pixels of each class in the prediction for each image."""
    config, checkpoint = tiny
    loaded = load_config(config)
    predict = image_predictor(build_segmentor(loaded, checkpoint), loaded)
    images = sorted(Path(config).parent.glob('leftImg8bit/val/*/*.png'))
    return {p.name: np.bincount(predict(p)[1].ravel(), minlength=19) for p in images}


def expected(counts) -> dict[str, dict[str, float]]:
    """By the plain formula: n(image, class) / sum over images."""
    totals = sum(counts.values())
    return {
        name: {str(c): n[c] / totals[c] for c in range(19) if n[c]} for name, n in counts.items()
    }


def test_weights_of_predictions(tiny, counts, tmp_path, capsys):
    out = tmp_path / 'weights.json'
    weights_of_predictions(*tiny, str(out))
    content = json.loads(out.read_text())
    assert content['format'] == 'mmseg-uda importance weights'
    assert content['classes'] == list(CLASSES)
    assert content['weights'] == expected(counts) and list(content['weights']) == NAMES
    made = content['provenance']
    assert made['config'] == tiny[0]
    assert made['checkpoint'] == {'file': tiny[1], 'sha256': sha256(tiny[1])}
    assert made['pixels'] == sum(counts.values()).tolist()
    shown = capsys.readouterr()
    lines = shown.out[shown.out.index('class ') :].splitlines()[1:20]
    rows = {line.rsplit(maxsplit=2)[0]: line.split()[-2:] for line in lines}
    images = {name: sum(n[c] > 0 for n in counts.values()) for c, name in enumerate(CLASSES)}
    totals = sum(counts.values())
    assert rows == {n: [str(totals[c]), str(images[n])] for c, n in enumerate(CLASSES)}
    never = [name for name, count in images.items() if not count]
    assert never and f'never predicted: {", ".join(never)}' in shown.err
    assert [path.name for path in tmp_path.iterdir()] == ['weights.json']

    written = out.stat().st_mtime_ns
    weights_of_predictions(*tiny, str(out))  # as a stage repeats it after an interruption
    assert out.stat().st_mtime_ns == written
    with pytest.raises(UserError, match=r'made with other settings \(target.*scale'):
        options = {'test_dataloader.dataset.pipeline.1.scale': (64, 32)}
        weights_of_predictions(*tiny, str(out), options)
    assert out.stat().st_mtime_ns == written


@pytest.mark.slow
def test_a_killed_pass_resumes_after_the_last_image(tiny, tmp_path, monkeypatch):
    weights_of_predictions(*tiny, str(tmp_path / 'whole.json'))
    out = tmp_path / 'weights.json'
    process = start('-c', STOPPING, *tiny, out, stdout=subprocess.PIPE)
    with process.stdout:
        assert any(line == b'stopped\n' for line in process.stdout)
        kill(process)
    partial = tmp_path / 'weights.json.partial'
    with partial.open('a') as file:
        file.write('["aachen_1_leftImg8b')  # a line that is cut off
    predicted = []
    original = importance_weights.count_classes
    monkeypatch.setattr(
        importance_weights,
        'count_classes',
        lambda label: predicted.append(1) or original(label),
    )
    with pytest.raises(UserError, match=r'partial was saved with other settings .*scale'):
        options = {'test_dataloader.dataset.pipeline.1.scale': (64, 32)}
        weights_of_predictions(*tiny, str(out), options)
    weights_of_predictions(*tiny, str(out))
    assert len(predicted) == 2 and out.read_bytes() == (tmp_path / 'whole.json').read_bytes()
    assert not partial.exists()


def test_a_damaged_file_of_counts_is_refused(tiny, tmp_path):
    partial = tmp_path / 'weights.json.partial'
    for text in ('{}\n[1, 2\n', '[]\n', '{}\n["a.png", [1, 2]]\n'):
        partial.write_text(text)
        with pytest.raises(UserError, match=r'weights.json.partial is damaged .*delete it'):
            weights_of_predictions(*tiny, str(tmp_path / 'weights.json'))


def predictions(folder: Path, config: str, names=None) -> list[np.ndarray]:
    """Write predictions of train ids as DA-SAC does."""
    rng, labels = np.random.default_rng(3), []
    folder.mkdir()
    for name in names or NAMES:
        labels.append(rng.choice([0, 5, 18, 255], SIZE).astype(np.uint8))
        published = name.replace('_leftImg8bit.png', '_gtFine_labelIds.png')
        Image.fromarray(labels[-1]).save(folder / published)
    return labels


def test_weights_of_existing_predictions(tiny, tmp_path):
    labels = predictions(tmp_path / 'masks', tiny[0])
    (tmp_path / 'masks/other.png').touch()
    main([tiny[0], str(tmp_path / 'weights.json'), '--labels', str(tmp_path / 'masks')])
    content = json.loads((tmp_path / 'weights.json').read_text())
    counts = [np.bincount(label.ravel(), minlength=256)[:19] for label in labels]
    assert content['weights'] == expected(dict(zip(NAMES, counts, strict=True)))
    again = [tiny[0], '--labels', str(tmp_path / 'masks'), str(tmp_path / 'weights.json')]
    with pytest.raises(UserError, match='weights.json exists already: delete'):
        main(again)


def test_a_published_file_is_read_by_the_published_code(tiny, tmp_path):
    predictions(tmp_path / 'masks', tiny[0])
    for name in ('weights.data', 'weights.json'):
        arguments = tiny[0], str(tmp_path / 'masks'), '*labelIds.png', str(tmp_path / name)
        weights_of_labels(*arguments)
    path, names = tmp_path / 'weights.data', []

    class OldUnpickler(pickle.Unpickler):
        def find_class(self, module, name):
            names.append(module)
            return super().find_class(module, name)

    with path.open('rb') as file:  # magic number, version, system, content, keys of tensors
        content = [OldUnpickler(file).load() for _ in range(5)][3]
    assert 'numpy.core.multiarray' in names and 'numpy._core.multiarray' not in names
    assert {type(c) for shares in content.values() for c in shares} == {np.uint8}
    assert {type(v) for shares in content.values() for v in shares.values()} == {np.float64}
    ours = json.loads((tmp_path / 'weights.json').read_text())['weights']
    renamed = {
        name.replace('_gtFine_labelIds', '_leftImg8bit'): {str(c): v for c, v in shares.items()}
        for name, shares in content.items()
    }
    assert renamed == ours and not set(content) & set(ours)
    assert read_tensors(path, '') == content
    with pytest.raises(UserError, match='weights.data exists already: delete'):
        weights_of_predictions(*tiny, str(path))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            lambda folder: (folder / LAST).unlink(),
            'no prediction of .*bonn_0',
        ),
        (
            lambda folder: Image.new('L', (9, 8)).save(folder / LAST),
            r'bonn_0_gtFine_labelIds.png has 8 x 9 pixels, its image .* 32 x 64',
        ),
        (
            lambda folder: Image.new('L', SIZE[::-1], 26).save(folder / LAST),
            'value 26 is neither a train id .0 to 18. nor 255: .* not of label ids',
        ),
        (
            lambda folder: (folder / LAST).write_text('?'),
            'bonn_0_gtFine_labelIds.png: not a readable label',
        ),
        (lambda folder: [p.unlink() for p in folder.iterdir()], r'no file \*labelIds.png in it'),
    ],
)
def test_bad_predictions(change, message, tiny, tmp_path):
    predictions(tmp_path / 'masks', tiny[0])
    change(tmp_path / 'masks')
    with pytest.raises(UserError, match=message):
        main([tiny[0], str(tmp_path / 'weights.json'), '--labels', str(tmp_path / 'masks')])
    assert not (tmp_path / 'weights.json').exists()


def test_two_images_of_one_name_are_refused(tmp_path):
    config, checkpoint = make_tiny(tmp_path)
    for city in ('aachen', 'bonn'):
        Image.new('RGB', SIZE[::-1]).save(image_path(tmp_path, f'{city}/same'))
    with config.open('a') as file:
        file.write(
            '\ntrain_dataloader = dict(batch_size=1, sampler=dict(type="PositionSampler"), dataset='
            f'dict(target=dict(type="CityscapesDataset", data_root={str(tmp_path)!r}, '
            'data_prefix=dict(img_path="leftImg8bit/val"), pipeline=[])))\n'
        )
    with pytest.raises(UserError, match='two target images have the file name same_leftImg8bit'):
        weights_of_predictions(str(config), str(checkpoint), str(tmp_path / 'weights.json'))


def test_the_command_needs_one_source_of_predictions(tiny, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([tiny[0], str(tmp_path / 'weights.json')])
    assert 'give either CHECKPOINT or --labels' in capsys.readouterr().err


def test_the_command_predicts(tiny, tmp_path, capfd):
    main([*tiny, str(tmp_path / 'weights.json')])
    assert f'importance weights: {tmp_path / "weights.json"}' in capfd.readouterr().out
    line = failure(capfd, main, tiny[0], tmp_path / 'no.pth', tmp_path / 'other.json')
    assert 'no.pth does not exist' in line
