import csv
import json
import math

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from mmseg.registry import METRICS

from mmseg_uda.errors import UserError
from mmseg_uda.evaluation import SegmentationMetric, confusion_matrix, metrics, scores
from tests.evaluation.tiny import loop_scores

CLASSES = [f'class{index}' for index in range(5)]


def random_maps(images: int, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(prediction, label) pairs (1, 6, 7); class 4 is never seen, class 3 only predicted."""
    rng = torch.Generator().manual_seed(seed)
    pairs = []
    for _ in range(images):
        label = torch.randint(0, 3, (1, 6, 7), generator=rng)
        pred = torch.randint(0, 4, (1, 6, 7), generator=rng)
        label[torch.rand(label.shape, generator=rng) < 0.2] = 255
        pairs.append((pred, label))
    return pairs


def sample(pred: torch.Tensor, label: torch.Tensor) -> dict:
    return dict(img_path='a.png', pred_sem_seg=dict(data=pred), gt_sem_seg=dict(data=label))


def metric(**options) -> SegmentationMetric:
    built = METRICS.build(dict(type='SegmentationMetric', **options))
    built.dataset_meta = dict(classes=CLASSES)
    return built


def test_confusion_matrix_counts_pairs():
    pred = torch.tensor([[0, 1, 1], [2, 2, 0]])
    label = torch.tensor([[0, 1, 0], [255, 2, 7]], dtype=torch.uint8)
    expected = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 1]])
    assert torch.equal(confusion_matrix(pred, label, 3), expected)


def test_scores_equal_the_plain_formula():
    pairs = random_maps(3)
    total = sum(confusion_matrix(pred, label, 5) for pred, label in pairs)
    result = scores(total, dict(two=[0, 1], none=[4]))
    expected = loop_scores(pairs, 5)
    np.testing.assert_allclose(result.iou, expected, rtol=1e-12)
    assert math.isnan(result.iou[4]) and result.iou[3] == 0 and math.isnan(result.acc[3])
    assert result.miou == pytest.approx(np.mean(expected[:4]))
    assert result.macc == pytest.approx(np.mean(result.acc[:3]))
    assert result.means()['two'].iou == pytest.approx(np.mean(expected[:2]))
    assert result.means()['mIoU'].known == 4
    assert math.isnan(result.means()['none'].iou)


def test_metric_streams_over_batches_and_starts_anew():
    pairs = random_maps(3)
    expected = loop_scores(pairs, 5)
    counted = metric(subsets=dict(mIoU2=[0, 1]))
    for _ in range(2):
        counted.process(None, [sample(*pairs[0])])
        counted.process(None, [sample(*pair) for pair in pairs[1:]])
        values = counted.evaluate(3)
        assert values['mIoU'] == pytest.approx(100 * np.nanmean(expected))
        assert values['mIoU2'] == pytest.approx(100 * np.mean(expected[:2]))
        assert values['IoU.class1'] == pytest.approx(100 * expected[1])
        assert math.isnan(values['IoU.class4'])  # or the log would repeat an earlier figure
        assert {'mAcc', 'aAcc'} < values.keys()


def test_report_files_hold_unrounded_percentages(tmp_path):
    pairs = random_maps(2)
    written = metric(subsets=dict(mIoU2=[0, 1]), out_dir=str(tmp_path / 'new' / 'folder'))
    written.meta = dict(network='student')
    written.process(None, [sample(*pair) for pair in pairs])
    values = written.evaluate(2)

    report = json.loads((tmp_path / 'new/folder/scores.json').read_text())
    assert report['mIoU'] == values['mIoU'] and report['mIoU2'] == values['mIoU2']
    assert report['classes']['class0']['IoU'] == values['IoU.class0']
    assert report['classes']['class4'] == dict(IoU=None, Acc=None, pixels=0)
    assert report['subsets'] == dict(mIoU2=['class0', 'class1'])
    assert report['meta'] == dict(network='student', images=2)
    counts = [[0] * 5 for _ in range(5)]  # a row for each true class
    for pred, label in pairs:
        for predicted, true in zip(pred.flatten().tolist(), label.flatten().tolist(), strict=True):
            if true != 255:
                counts[true][predicted] += 1
    assert report['confusion_matrix'] == counts and report['schema'] == 1

    rows = list(csv.DictReader((tmp_path / 'new/folder/scores.csv').open()))
    assert [row['class'] for row in rows] == [*CLASSES, 'mIoU', 'mIoU2', 'aAcc']
    assert float(rows[0]['IoU']) == values['IoU.class0'] and rows[4]['IoU'] == ''
    labelled = sum(int((label != 255).sum()) for _, label in pairs)
    assert int(rows[-1]['pixels']) == sum(int(row['pixels']) for row in rows[:5]) == labelled


def test_table_is_logged(monkeypatch):
    texts = []
    monkeypatch.setattr(metrics, 'print_log', lambda text, logger: texts.append(text))
    logged = metric()
    logged.process(None, [sample(*random_maps(1)[0])])
    values = logged.evaluate(1)
    rows = {line.split()[0]: line for line in ''.join(texts).splitlines() if line}
    assert rows['mIoU'].split()[1] == f'{values["mIoU"]:.2f}'
    assert '4 of 5 classes' in rows['mIoU'] and '1 images' in rows['aAcc']
    assert rows['class4'].split()[1:] == ['-', '-', '0.00%']


def test_missing_label_is_an_error():
    unlabelled = dict(img_path='night/a.png', pred_sem_seg=dict(data=torch.zeros(1, 2, 2)))
    with pytest.raises(UserError, match='night/a.png'):
        metric().process(None, [unlabelled])


def test_label_of_another_size_is_an_error():
    with pytest.raises(UserError, match=r'\(3, 4\)'):
        metric().process(None, [sample(torch.zeros(1, 2, 2).long(), torch.zeros(1, 3, 4).long())])


def test_labels_that_are_no_train_ids_are_an_error():
    wrong = metric()
    wrong.process(None, [sample(torch.zeros(1, 1, 3).long(), torch.tensor([[[0, 26, 255]]]))])
    with pytest.raises(UserError, match=r'contain \[26\]'):
        wrong.evaluate(1)


@pytest.mark.parametrize('label', [2, 255])
def test_predictions_that_are_no_class_are_not_blamed_on_the_labels(label):
    """A network with more classes than the data set, or a data set with another list of classes."""
    wrong = metric()
    wrong.process(None, [sample(torch.tensor([[[0, 7, 300]]]), torch.tensor([[[0, 1, label]]]))])
    with pytest.raises(UserError, match='2 pixels are predicted as class 5 or above'):
        wrong.evaluate(1)


def test_a_set_without_labelled_pixels_is_an_error():
    empty = metric()
    empty.process(None, [sample(torch.zeros(1, 1, 2).long(), torch.full((1, 1, 2), 255))])
    with pytest.raises(UserError, match='no labelled pixel'):
        empty.evaluate(1)


def _rank(rank: int, rendezvous: str, results: str) -> None:
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{rendezvous}', rank=rank, world_size=2
    )
    pairs = random_maps(3)
    shared = metric()
    for index in ([0, 2], [1, 0])[rank]:  # the sampler repeats image 0 so that both have two
        shared.process(None, [sample(*pairs[index])])
    torch.save(shared.evaluate(3), f'{results}{rank}')
    torch.distributed.destroy_process_group()


def test_ranks_are_summed_and_repeated_images_count_once(tmp_path):
    mp.spawn(_rank, (str(tmp_path / 'rendezvous'), str(tmp_path / 'rank')), nprocs=2)
    alone = metric()
    alone.process(None, [sample(*pair) for pair in random_maps(3)])
    expected = alone.evaluate(3)
    for rank in range(2):
        found = torch.load(tmp_path / f'rank{rank}', weights_only=True)
        assert found == pytest.approx(expected, rel=0, abs=0, nan_ok=True)


def test_scores_that_cannot_be_written_are_an_error(tmp_path):
    (tmp_path / 'file').touch()
    unwritten = metric(out_dir=str(tmp_path / 'file'))
    unwritten.process(None, [sample(*random_maps(1)[0])])
    with pytest.raises(UserError, match=r'cannot write .*scores\.json'):
        unwritten.evaluate(1)
