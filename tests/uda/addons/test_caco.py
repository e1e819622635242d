import pytest
import torch

from mmseg_uda.errors import UserError
from mmseg_uda.uda.components.category_learning import CategoryLearning
from tests.precision import assert_same
from tests.uda.conftest import MIC, build, segmentor, uda_batch
from tests.uda.steps import steps

CONTRAST = dict(type='CategoryContrast', dictionary=dict(confidence=0.05), weight=1.0, wait=False)


def host(kind='SelfTraining', **addons):
    options = dict(threshold=0.07) if kind == 'SelfTraining' else {}
    addons = dict(contrast=CONTRAST) | addons
    return build(dict(type=kind, segmentor=segmentor(norm='GN'), addons=addons, **options))


def test_it_is_caco_with_the_teacher_of_the_host(float64):
    """The dictionary has the student's source and the teacher's target features."""
    method, batch = host(), uda_batch()
    with torch.no_grad():
        for parameter in method.teacher.parameters():
            parameter.mul_(1.05)
    options = {name: value for name, value in CONTRAST.items() if name != 'type'}
    own = CategoryLearning(method.student, **options)
    step = method.begin(batch)
    *_, found = method.passes(step)
    own.add_source(method.student.whole_pass(batch.source.images), batch.source.labels)
    reference = own.add_target(method.teacher.answer(batch.target.images), step.pseudo.weight)
    _, expected = own.query_pass(method.student, reference, step.draws)
    assert found.keys() == expected.keys() >= {'caco.loss_contrast', 'caco.loss_consistency.main'}
    assert_same(found, expected)
    assert method.addons['contrast'].answer is None


def test_pixels_without_weight_are_neither_keys_nor_queries(float64):
    method, batch = host(margins=dict(type='IgnoreMargins', top=0, bottom=32)), uda_batch()
    categories, kept = method.addons['contrast'].categories, []
    add_target = categories.add_target
    categories.add_target = lambda *args: kept.append(add_target(*args)) or kept[0]
    batch.source.labels.fill_(255)  # all keys are of the target
    step = method.begin(batch)
    list(method.passes(step))
    labels = kept[0].labels
    rows = labels.shape[1]
    assert (labels[:, rows // 2 :] == 255).all() and (labels[:, : rows // 2] < 255).all()
    features = method.teacher.answer(batch.target.images).features[-1]
    dictionary = categories.dictionary
    for train_id in labels[labels < 255].unique():
        images = [features[i][:, labels[i] == train_id] for i in range(2)]
        means = torch.stack([cells.mean(1) for cells in images if cells.numel()])
        assert_same(dictionary.keys[train_id, : len(means)], means)
    assert int(dictionary.lengths.sum()) > 0


def test_the_teacher_of_another_addon_adds_no_keys():
    keys = []
    for addons in ({}, dict(mic=MIC)):
        method = host(**addons)
        (logs,) = steps(method, 1)
        keys.append(method.addons['contrast'].categories.dictionary.keys)
    assert 'masked.decode.loss_seg' in logs
    assert torch.equal(*keys)


def test_a_host_without_pseudo_labels_is_refused():
    with pytest.raises(UserError, match='CategoryContrast needs a method that pseudo-labels'):
        steps(host('SourceOnly', mic=MIC), 1)
