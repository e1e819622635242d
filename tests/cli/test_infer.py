from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_uda.cli import infer, test
from mmseg_uda.datasets.labels import PALETTE
from mmseg_uda.errors import UserError
from tests.evaluation.tiny import IMAGES, image_path, make_tiny, network_weights, write_png


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    root = tmp_path_factory.mktemp('cityscapes')
    return root, *map(str, make_tiny(root))


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_predictions_are_those_of_the_test_tool(tiny, tmp_path):
    root, config, checkpoint = tiny
    infer.main([config, checkpoint, str(root / 'leftImg8bit'), '--out', str(tmp_path / 'a')])
    test.main([config, checkpoint, '--show-dir', str(tmp_path / 'b')])
    test.main([config, checkpoint, '--show-dir', str(tmp_path / 'c'), '--opacity', '1'])
    assert len(names(tmp_path / 'b')) == len(IMAGES)
    for folder, other in (('overlays', 'b'), ('labels', 'c')):
        assert names(tmp_path / 'a' / folder) == names(tmp_path / other)
        for name in names(tmp_path / other):
            written = read(tmp_path / 'a' / folder / name)
            np.testing.assert_array_equal(written, read(tmp_path / other / name))


OWN = """
dataset = test_dataloader['dataset']
dataset.update(
    type='BaseSegDataset', metainfo=dict(classes=[str(i) for i in range({data})]),
    img_suffix='_leftImg8bit.png', seg_map_suffix='_gtFine_labelTrainIds.png',
)
model['segmentor']['decode_head']['num_classes'] = {head}
"""


@pytest.fixture
def own(tiny, tmp_path):
    """Write a config with its own classes and weights that predict the last class everywhere."""

    def write(head: int, data: int) -> list[str]:
        config, checkpoint = tmp_path / 'own.py', tmp_path / 'own.pth'
        config.write_text(Path(tiny[1]).read_text() + OWN.format(head=head, data=data))
        weights = network_weights(config, 0)
        weights['decode_head.conv_seg.bias'][-1] = 1e6
        torch.save({'state_dict': weights}, checkpoint)
        return [str(config), str(checkpoint)]

    return write


def test_colours_are_those_of_the_classes(tiny, own, tmp_path):
    command = [*own(40, 40), str(tiny[0] / 'leftImg8bit'), '--out', str(tmp_path / 'out')]
    infer.main(command)
    for folder in ('labels', 'overlays'):
        assert len(names(tmp_path / 'out' / folder)) == len(IMAGES)
    with Image.open(tmp_path / 'out/labels' / names(tmp_path / 'out/labels')[0]) as image:
        assert (np.asarray(image) == 39).all()
        colours = np.reshape(image.getpalette()[: 3 * 40], (-1, 3))
    assert len(np.unique(colours, axis=0)) == 40 and colours[0].tolist() != PALETTE[0]


def test_another_number_of_classes_than_the_test_data_is_an_error(tiny, own, tmp_path):
    command = [*own(40, 3), str(tiny[0] / 'leftImg8bit'), '--out', str(tmp_path / 'out')]
    with pytest.raises(UserError, match='network has 40 classes, test_dataloader.dataset 3'):
        infer.main(command)
    assert not (tmp_path / 'out').exists()


def test_images_of_any_size_and_kind(tiny, tmp_path):
    _, config, checkpoint = tiny
    write_png(tmp_path / 'in' / 'grey.jpg', np.zeros((45, 33), np.uint8))
    write_png(tmp_path / 'in' / 'alpha.png', np.zeros((60, 100, 4), np.uint8))
    pattern = str(tmp_path / 'in' / '*')
    infer.main([config, checkpoint, pattern, '--out', str(tmp_path / 'out'), '--opacity', '1'])
    assert names(tmp_path / 'out') == ['labels']
    assert read(tmp_path / 'out/labels/grey.png').shape == (45, 33)
    assert read(tmp_path / 'out/labels/alpha.png').shape == (60, 100)


def test_bad_images_are_named_after_the_others_are_done(tiny, tmp_path):
    root, config, checkpoint = tiny
    good = image_path(root, IMAGES[0])
    bad = tmp_path / 'cut.png'
    bad.write_bytes(good.read_bytes()[:100])
    with pytest.raises(UserError, match='1 of 2 images were skipped: .*cut.png'):
        infer.main([config, checkpoint, str(bad), str(good), '--out', str(tmp_path / 'out')])
    assert names(tmp_path / 'out' / 'labels') == [good.name]


def test_an_image_that_the_network_cannot_take_is_named(tiny, tmp_path):
    _, config, checkpoint = tiny
    write_png(tmp_path / 'line.png', np.zeros((2, 2000, 3), np.uint8))
    with pytest.raises(UserError, match='line.png: fails with 2 x 2000 pixels'):
        infer.main([config, checkpoint, str(tmp_path / 'line.png'), '--out', str(tmp_path)])


def test_an_unknown_device_is_an_error(tiny, tmp_path):
    root, config, checkpoint = tiny
    with pytest.raises(UserError, match='device nowhere'):
        infer.main([config, checkpoint, str(root), '--out', str(tmp_path), '--device', 'nowhere'])


def test_inputs_are_found_once_and_outputs_are_no_inputs(tmp_path):
    for name in ('b.png', 'a.JPG', 'sub/c.jpeg', 'notes.txt', 'out/a.png'):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = infer.find_images([str(tmp_path), str(tmp_path / 'b.png')], str(tmp_path / 'out'))
    assert [str(path.relative_to(tmp_path)) for path in found] == ['a.JPG', 'b.png', 'sub/c.jpeg']


def test_an_input_that_names_nothing_is_an_error(tmp_path):
    with pytest.raises(UserError, match='nothing'):
        infer.find_images([str(tmp_path / 'nothing*')], 'out')
