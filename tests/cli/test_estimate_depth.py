import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg_uda.cli.estimate_depth import main
from mmseg_uda.errors import UserError
from mmseg_uda.preparation.estimate_depth import fitted_size, stretch
from tests.datasets.conftest import write_image


@pytest.fixture(scope='module')
def model(tmp_path_factory) -> str:
    """A Depth Anything model of a few thousand random parameters, as a folder."""
    transformers = pytest.importorskip('transformers')
    import torch

    backbone = transformers.Dinov2Config(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=28,
        out_indices=[1, 2, 3, 4],
        apply_layernorm=True,
        reshape_hidden_states=False,
    )
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[4, 4, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=8,
    )
    folder = tmp_path_factory.mktemp('depth_model')
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def images(tmp_path) -> Path:
    """Images of two sizes, one of them Cityscapes', in sub-folders."""
    folder = tmp_path / 'images'
    for number in range(3):
        write_image(folder / f'{number}.png', (30, 44), number)
    write_image(folder / 'train/bonn/bonn_0_leftImg8bit.png', (40, 30), 3)
    return folder


def run(images, out, model, *options):
    main([str(images), str(out), '--model', model, '--size', '28', '--workers', '0', *options])


def read(out: Path) -> dict[str, np.ndarray]:
    return {
        str(path.relative_to(out)): cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        for path in sorted(out.rglob('*.png'))
    }


def test_depth_maps(images, tmp_path, model):
    run(images, tmp_path / 'one', model, '--batch-size', '1')
    run(images, tmp_path / 'all', model, '--batch-size', '4')
    one, all_at_once = read(tmp_path / 'one'), read(tmp_path / 'all')
    assert list(one) == ['0.png', '1.png', '2.png', 'train/bonn/bonn_0_depth.png']
    for name, depth in one.items():
        assert depth.dtype == np.uint8
        assert depth.shape == ((40, 30) if 'bonn' in name else (30, 44))
        assert depth.min() == 0 and depth.max() == 255
        assert np.abs(depth.astype(int) - all_at_once[name]).max() <= 1
    assert not np.array_equal(one['0.png'], one['1.png'])


def test_it_keeps_what_is_there(images, tmp_path, model, capsys):
    out, alone = tmp_path / 'out', ('--batch-size', '1')  # bit by bit, as the batch is the same
    run(images, out, model, *alone)
    first = read(out)
    (out / '1.png').unlink()
    stays = (out / '0.png').stat().st_mtime_ns
    run(images, out, model, *alone)
    assert '3 of 4 depth maps exist already' in capsys.readouterr().out
    assert (out / '0.png').stat().st_mtime_ns == stays
    assert all(np.array_equal(depth, first[name]) for name, depth in read(out).items())
    run(images, out, 'no model is loaded when nothing is missing')


def test_a_damaged_image_is_named_and_the_rest_is_kept(images, tmp_path, model):
    (images / '2.png').write_bytes((images / '2.png').read_bytes()[:100])
    with pytest.raises(UserError, match=r'2\.png: the file is cut off'):
        run(images, tmp_path / 'out', model, '--batch-size', '1')
    assert list(read(tmp_path / 'out')) == ['0.png', '1.png']


def test_bad_input(images, tmp_path, model, monkeypatch):
    with pytest.raises(UserError, match='no such folder'):
        run(tmp_path / 'nowhere', tmp_path / 'out', model)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match='no images'):
        run(tmp_path / 'empty', tmp_path / 'out', model)
    with pytest.raises(UserError, match=r'--model .*empty'):
        run(images, tmp_path / 'out', str(tmp_path / 'empty'))
    with pytest.raises(UserError, match='--batch-size'):
        run(images, tmp_path / 'out', model, '--batch-size', '0')
    write_image(images / '0.jpg', (30, 44))
    with pytest.raises(UserError, match=r'0\.jpg and 0\.png would have'):
        run(images, tmp_path / 'out', model)
    (images / '0.jpg').unlink()
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(UserError, match=r'pip install .*depth'):
        run(images, tmp_path / 'out', model)
    assert not (tmp_path / 'out').exists()


def test_metric_depth_is_refused(images, tmp_path, model):
    import shutil

    metric = Path(shutil.copytree(model, tmp_path / 'metric'))
    text = (metric / 'config.json').read_text()
    (metric / 'config.json').write_text(text.replace('"relative"', '"metric"'))
    with pytest.raises(UserError, match='metric depth'):
        run(images, tmp_path / 'out', str(metric))


def test_fitted_size():
    assert fitted_size(1024, 2048, 518, 14) == (518, 1036)
    assert fitted_size(1052, 1914, 518, 14) == (518, 938)
    assert fitted_size(518, 300, 280, 14) == (490, 280)


def test_stretch():
    assert stretch(np.array([[-1.0, 0.0, 1.0]])).tolist() == [[0, 127, 255]]
    assert stretch(np.full((2, 2), 3.0)).max() == 0
