import pytest
import torch
from torch import nn

from mmseg_uda.errors import UserError
from mmseg_uda.uda.components.teacher import Teacher
from tests.precision import assert_same
from tests.uda.conftest import build, multi_level, segmentor, uda_batch


def network():
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))


def test_momentum_starts_as_a_copy_and_ends_at_alpha(float64):
    student = network()
    teacher = Teacher(student, alpha=0.75)
    history = []
    for iteration in range(6):
        with torch.no_grad():
            student[0].weight.fill_(float(iteration))
        teacher.update(student, iteration)
        history.append(teacher.network[0].weight[0, 0].item())
    expected, value = [], 0.0
    for iteration in range(6):
        momentum = min(1 - 1 / (iteration + 1), 0.75)
        value = momentum * value + (1 - momentum) * iteration
        expected.append(value)
    assert_same(history, expected)


def test_buffers_are_its_own_and_nothing_is_trained():
    student = network()
    teacher = Teacher(student)
    student[1].running_mean.fill_(7)
    teacher.update(student, 0)
    assert teacher.network[1].running_mean.tolist() == [0, 0]
    assert not any(p.requires_grad for p in teacher.parameters())


def test_in_training_it_drops_nothing_but_normalises_by_the_batch():
    teacher = Teacher(network()).train()
    assert teacher.network[1].training
    assert not teacher.network[2].training


@pytest.mark.parametrize(
    ('mode', 'batch_norm', 'dropout'), [('evaluation', False, False), ('training', True, True)]
)
def test_modes(mode, batch_norm, dropout):
    teacher = Teacher(network(), mode=mode).train()
    assert (teacher.network[1].training, teacher.network[2].training) == (batch_norm, dropout)
    assert not any(module.training for module in teacher.eval().modules())


def test_constant_momentum(float64):
    teacher = Teacher(network(), alpha=0.75, warm_up=False)
    student = network()
    old, new = teacher.network[0].weight.clone(), student[0].weight
    teacher.update(student, 0)
    assert_same(teacher.network[0].weight, 0.75 * old + 0.25 * new)


def test_between_two_intervals_nothing_moves():
    student = network()
    teacher = Teacher(student, interval=3)
    moved = []
    for iteration in range(5):
        with torch.no_grad():
            student[0].weight.fill_(float(iteration + 1))
        teacher.update(student, iteration)
        moved.append(teacher.network[0].weight[0, 0].item())
    assert moved[0] == moved[1] == moved[2] == 1 and moved[3] == moved[4] > 1


def test_the_interval_is_counted_within_an_epoch():
    """An epoch starts with an update, however short the last interval of the one before was."""
    teacher = Teacher(network(), interval=3, epoch_length=7)
    assert [i for i in range(16) if teacher.is_due(i)] == [0, 3, 6, 7, 10, 13, 14]


@pytest.mark.parametrize(('buffers', 'mean', 'steps'), [('copied', 8.0, 5), ('averaged', 2.0, 5)])
def test_buffers_of_the_student(buffers, mean, steps):
    student = network()
    teacher = Teacher(student, alpha=0.75, warm_up=False, buffers=buffers)
    student[1].running_mean.fill_(8)
    student[1].num_batches_tracked.fill_(5)
    teacher.update(student, 0)
    assert teacher.network[1].running_mean.tolist() == [mean, mean]
    assert teacher.network[1].num_batches_tracked == steps


@pytest.mark.parametrize(
    'options', [dict(mode='train'), dict(buffers='none'), dict(interval=0), dict(epoch_length=0)]
)
def test_unknown_choices_are_refused(options):
    with pytest.raises(UserError, match='teacher: (mode|buffers|interval|epoch_length) is'):
        Teacher(network(), **options)


def test_an_answer_has_features_logits_and_probabilities(float64):
    teacher = Teacher(build(dict(type='SourceOnly', segmentor=segmentor())).student).eval()
    images = uda_batch().target.images
    answer = teacher.answer(images)
    assert answer.images is images and answer.logits.shape == (2, 19, 16, 16)
    assert [tuple(f.shape[1:]) for f in answer.features][-1] == (256, 2, 2)
    assert_same(answer.probabilities(), teacher.network.encode_decode(images).softmax(1))
    assert_same(answer.logits, teacher.network.decode(answer.features))


def test_it_answers_with_the_logits_of_all_levels():
    """Those of 'main' are without the other levels' share in a prediction."""
    network = multi_level(norm='GN') | dict(test_cfg=dict(mode='whole', level_factors=dict(aux=1)))
    student = build(dict(type='SourceOnly', segmentor=network)).student
    images = uda_batch().target.images
    answer = Teacher(student).answer(images)
    levels = student.whole_pass(images).levels
    assert answer.levels.keys() == {'main', 'aux'}
    assert all(torch.equal(value, levels[name]) for name, value in answer.levels.items())
    assert not torch.equal(answer.logits, levels['main'])
    assert not any(value.requires_grad for value in answer.levels.values())
