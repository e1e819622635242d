"""Predictions averaged over sizes and mirror images, of one checkpoint or a folder of them."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_uda.cli.test import main
from mmseg_uda.engine.config import load_config
from mmseg_uda.errors import UserError
from mmseg_uda.evaluation.inference import build_segmentor, build_test_loader, predict, train_ids
from mmseg_uda.evaluation.views import Views, input_scores, mean_probabilities
from mmseg_uda.models.losses import upscale
from tests.evaluation.tiny import IMAGES, make_tiny, network_weights
from tests.precision import assert_same
from tests.tiny_training import failure


@pytest.fixture
def network():
    import mmseg_uda.register  # noqa: F401

    init_default_scope('mmseg')
    head = dict(type='DLV2Head', in_channels=32, in_index=0, dilations=(1,), num_classes=5)
    backbone = dict(type='MiT', arch='b0')
    torch.manual_seed(0)
    return MODELS.build(dict(type='Segmentor', backbone=backbone, decode_head=head)).eval()


def by_hand(network, images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return upscale(network.encode_decode(images), size).softmax(1)


def averaged(network, images: torch.Tensor, size: tuple[int, int], views: Views) -> torch.Tensor:
    scores = input_scores(network, images, [size] * len(images), views)
    return torch.stack(mean_probabilities(network, scores))


@torch.no_grad()
def test_views_are_averaged(float64, network):
    images = torch.randn(2, 3, 64, 128)
    small = upscale(images, (32, 64))
    views = [
        by_hand(network, images, (40, 80)),
        by_hand(network, images.flip(3), (40, 80)).flip(3),
        by_hand(network, small, (40, 80)),
        by_hand(network, small.flip(3), (40, 80)).flip(3),
    ]
    found = averaged(network, images, (40, 80), Views((1.0, 0.5), flip=True))
    assert_same(found, torch.stack(views).mean(0))
    found = averaged(network, images, (40, 80), Views((0.5,)))
    assert_same(found, views[2])


@torch.no_grad()
def test_probabilities_are_resized_where_the_network_predicts_them(float64, network):
    images = torch.randn(2, 3, 64, 128)
    network.test_cfg.update(direct=True, probabilities=True)
    views = [
        upscale(network.infer(images).logits.softmax(1), (40, 80)),
        upscale(network.infer(images.flip(3)).logits.softmax(1), (40, 80)).flip(3),
    ]
    found = averaged(network, images, (40, 80), Views(flip=True))
    assert_same(found, torch.stack(views).mean(0))


@torch.no_grad()
def test_mirrored_images_have_mirrored_predictions(float64, network):
    images = torch.randn(1, 3, 32, 64)
    one, other = (
        averaged(network, view, (32, 64), Views(flip=True)) for view in (images, images.flip(3))
    )
    assert_same(one, other.flip(3))


@pytest.fixture
def folder(tmp_path) -> tuple[Path, str]:
    """Three checkpoints of different weights in ``tmp_path/run``, and the config."""
    config, checkpoint = make_tiny(tmp_path)
    run = tmp_path / 'run'
    run.mkdir()
    for iteration, seed in ((2, 3), (10, 0), (9, 4)):
        weights = network_weights(config, seed)
        weights = {f'student.{name}': value for name, value in weights.items()}
        torch.save({'state_dict': weights, 'meta': {}}, run / f'iter_{iteration}.pth')
    shutil.copy(checkpoint, run / 'other.pth')
    return run, str(config)


def test_views_of_the_file_and_of_the_input_are_averaged_alike(float64, folder):
    """At scale 1 both mirror the same pixels; batches of two images."""
    run, path = folder
    found = {}
    for resized in ('input', 'file'):
        config = load_config(path, {'test_dataloader.batch_size': 2})
        segmentor = build_segmentor(config, str(run / 'iter_2.pth'))
        views, data = Views((1.0,), True, resized), config.test_dataloader.dataset
        data.pipeline = views.pipeline(data.pipeline, labels=False)
        batches = predict(segmentor, build_test_loader(config, labels=False), views)
        samples = [sample for batch in batches for sample in batch]
        found[resized] = {sample.img_path: train_ids(sample) for sample in samples}
    assert len(found['file']) == len(IMAGES)
    for image, ids in found['file'].items():
        np.testing.assert_array_equal(ids, found['input'][image])


def test_a_folder_of_checkpoints(folder, tmp_path, capsys):
    run, config = folder
    main([config, str(run), '--eval', 'mIoU', '--work-dir', str(tmp_path / 'out')])
    out = tmp_path / 'out'
    header, *rows, last = csv.reader((out / 'test_results.csv').read_text().splitlines())
    assert header[:4] == ['iters', 'mIoU', 'mIoU2', 'road']
    assert [row[0] for row in rows] == ['2', '9', '10']
    single = {}
    for iteration in (2, 9, 10):
        path = tmp_path / f'single{iteration}'
        checkpoint = str(run / f'iter_{iteration}.pth')
        main([config, checkpoint, '--eval', 'mIoU', '--work-dir', str(path)])
        single[iteration] = json.loads((path / 'scores.json').read_text())['mIoU']
    assert [100 * float(row[1]) for row in rows] == pytest.approx(list(single.values()), abs=1e-4)
    best = max(single, key=single.get)
    assert f'iteration {best} ' in last[0]
    assert (out / 'model_best.pth').read_bytes() == (run / f'iter_{best}.pth').read_bytes()
    scores = json.loads((out / 'scores.json').read_text())
    assert scores['schema'] == 1 and len(scores['confusion_matrix']) == 19
    assert scores['mIoU'] == single[10] and scores['best']['mIoU'] == single[best]
    assert 'test_results.csv' in capsys.readouterr().out


def test_options_reach_the_prediction_and_the_report(folder, tmp_path):
    run, config = folder
    checkpoint, figures = str(run / 'iter_2.pth'), []
    for name, options in (('plain', []), ('views', ['--flip', '--scales', '0.7', '1.3'])):
        main([config, checkpoint, '--eval', 'mIoU', '--work-dir', str(tmp_path / name), *options])
        figures.append(json.loads((tmp_path / name / 'scores.json').read_text()))
    assert figures[0]['mIoU'] != figures[1]['mIoU']
    assert figures[1]['meta']['flip'] is True and figures[1]['meta']['scales'] == [0.7, 1.3]


def test_bad_folders(folder, tmp_path, capfd):
    run, config = folder
    (tmp_path / 'empty').mkdir()
    line = failure(capfd, main, config, tmp_path / 'empty', '--eval', 'mIoU')
    assert 'no checkpoint iter_<n>.pth' in line
    line = failure(capfd, main, config, run, '--show-dir', tmp_path / 'pictures')
    assert 'only be tested with --eval' in line


def test_embeddings_of_test_images(folder, tmp_path, capsys):
    from mmseg_uda.cli.analyze import main as analyze

    run, config = folder
    for level in ('features', 'logits'):
        out = tmp_path / level
        options = ['--level', level, '--images', '2', '--pixels', '40', '--out', str(out)]
        analyze(['tsne', config, str(run / 'iter_2.pth'), *options])
        files = sorted(path.read_bytes() for path in out.iterdir())
        assert len(files) == 2 and all(data.startswith(b'\x89PNG') for data in files)
    assert capsys.readouterr().out.count('.png') == 4


def test_embeddings_say_what_is_missing(monkeypatch):
    import sys

    from mmseg_uda.evaluation.embedding import draw_embeddings

    monkeypatch.setitem(sys.modules, 'sklearn.manifold', None)
    with pytest.raises(UserError, match='is not installed; this needs the extra'):
        draw_embeddings(None, None, Path('x'))
