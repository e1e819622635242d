import numpy as np
import pytest
import torch

from mmseg_uda.engine.config import load_config
from mmseg_uda.errors import UserError
from mmseg_uda.preparation import pseudo_labels as pseudo_labelling
from mmseg_uda.preparation.pseudo_labels import (
    ConfidenceHistogram,
    confidence,
    full_palette,
    generate_pseudo_labels,
    select,
)
from tests.damage import flip_bit
from tests.evaluation.tiny import make_tiny


def sorted_threshold(values: np.ndarray, quantile: float, cap: float) -> float:
    if not len(values):
        return 0.0
    return min(np.sort(values)[round(quantile * len(values))], cap)


@pytest.mark.parametrize('num_classes', [2, 5, 16, 19])
@pytest.mark.parametrize('quantile', [0.0, 0.3, 0.5])
def test_thresholds_are_those_of_the_sorted_confidences(num_classes, quantile):
    torch.manual_seed(num_classes)
    logits = 2 * torch.randn(3, num_classes, 20, 30)
    logits[:, 1] -= 50  # never predicted
    histogram = ConfidenceHistogram(num_classes)
    maps = [confidence(image[None], (20, 30), True) for image in logits]
    for confidences, labels in maps:
        histogram.add(confidences, labels)
    probability, label = (torch.cat(x).flatten().numpy() for x in zip(*maps, strict=True))
    expected = [
        sorted_threshold(probability[label == c], quantile, 0.9) for c in range(num_classes)
    ]
    found = histogram.thresholds(quantile, 0.9)
    np.testing.assert_allclose(found, expected, rtol=2**-17)
    assert found[1] == 0 and (found.numpy() <= np.float32(expected)).all()


def test_halves_are_rounded_to_the_even_rank():
    for values, expected in (([0.5, 0.75, 0.8], 0.8), ([0.5, 0.75, 0.8, 0.85, 0.875], 0.8)):
        histogram = ConfidenceHistogram(2)
        histogram.add(torch.tensor(values), torch.zeros(len(values), dtype=torch.long))
        assert histogram.thresholds(0.5, 1.0)[0] == pytest.approx(expected, rel=1e-5)


def test_certainty_and_the_cap():
    histogram = ConfidenceHistogram(19)
    histogram.add(torch.ones(4), torch.full((4,), 3))
    assert histogram.thresholds(0.5, 0.9)[3] == pytest.approx(0.9)
    assert histogram.thresholds(0.5, 1.0)[3] == 1
    assert histogram.thresholds(1.0, 1.0)[3] == 1  # a rank beyond the last is the last


def test_labels_below_their_classes_threshold_are_ignored():
    probability, label = torch.tensor([[0.5, 0.6, 0.7]]), torch.tensor([[0, 1, 0]])
    found = select(probability, label, torch.tensor([0.6, 0.6]))
    assert found.tolist() == [[255, 1, 0]]  # at the threshold it is kept


def test_palette_has_256_colours():
    palette = full_palette([[1, 2, 3], [4, 5, 6]])
    assert palette.shape == (256, 3) and palette[1].tolist() == [4, 5, 6] and not palette[2:].any()


@pytest.fixture
def tiny(tmp_path):
    config, checkpoint = make_tiny(tmp_path)
    target = dict(
        type='CityscapesDataset',
        data_root=str(tmp_path),
        data_prefix=dict(img_path='leftImg8bit/val'),
        pipeline=[],
    )
    with config.open('a') as file:
        file.write(
            f'\ntrain_dataloader = dict(batch_size=1, sampler=dict(type="PositionSampler"), '
            f'dataset=dict(target={target!r}))\n'
        )
    return str(config), str(checkpoint)


def test_a_folder_of_another_call_is_refused(tiny, tmp_path):
    folder = tmp_path / 'made'
    generate_pseudo_labels(*tiny, str(folder))
    written = {p: p.stat().st_mtime_ns for p in folder.rglob('*') if p.is_file()}
    generate_pseudo_labels(*tiny, str(folder))
    assert {p: p.stat().st_mtime_ns for p in folder.rglob('*') if p.is_file()} == written
    with pytest.raises(UserError, match='other settings .cap.: choose'):
        generate_pseudo_labels(*tiny, str(folder), cap=0.5)


def test_damaged_logits_are_predicted_again(tiny, tmp_path, monkeypatch):
    generate_pseudo_labels(*tiny, str(tmp_path / 'whole'))
    predict, damaged = pseudo_labelling._cache_logits, []

    def predict_and_damage(segmentor, loader, caches):
        predict(segmentor, loader, caches)
        if not damaged:
            damaged.append(caches[1])
            flip_bit(caches[1])

    monkeypatch.setattr(pseudo_labelling, '_cache_logits', predict_and_damage)
    generate_pseudo_labels(*tiny, str(tmp_path / 'made'))
    assert damaged
    whole, made = (
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*.*')}
        for folder in (tmp_path / 'whole', tmp_path / 'made')
    )
    assert made == whole and len(whole) == 5  # three labels, thresholds, record


def test_a_foreign_record_is_named(tiny, tmp_path):
    path = tmp_path / 'made/pseudo_labels.json'
    path.parent.mkdir()
    path.write_text('[]')
    with pytest.raises(UserError, match=r'pseudo_labels\.json is not the record of pseudo-labels'):
        generate_pseudo_labels(*tiny, str(path.parent))


def test_wrong_number_of_classes_and_missing_target(tiny, tmp_path):
    options = {'train_dataloader.dataset.target.metainfo': dict(classes=['road', 'sky'])}
    with pytest.raises(UserError, match='the network has 19 classes, the target data 2'):
        generate_pseudo_labels(*tiny, str(tmp_path / 'made'), options)
    options = {'train_dataloader.dataset.target': None}
    with pytest.raises(UserError, match='no train_dataloader.dataset.target to label'):
        generate_pseudo_labels(*tiny, str(tmp_path / 'made'), options)
    target = load_config(tiny[0]).train_dataloader.dataset.target
    options = {'train_dataloader.dataset.target': [target, target]}
    with pytest.raises(UserError, match='target is a list of 2: only one target data set'):
        generate_pseudo_labels(*tiny, str(tmp_path / 'made'), options)


def test_the_command(tiny, tmp_path, capsys):
    from mmseg_uda.cli.pseudo_label import main

    main([*tiny, str(tmp_path / 'made'), '--quantile', '0', '--cap', '1'])
    assert 'soft_labels' in capsys.readouterr().out
    assert len(list((tmp_path / 'made/soft_labels').rglob('*_leftImg8bit.png'))) == 3
    with pytest.raises(SystemExit):
        main([*tiny, str(tmp_path / 'made'), '--cap', '2'])
