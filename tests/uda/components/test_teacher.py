import torch
from torch import nn

from mmseg_uda.uda.components.teacher import Teacher
from tests.precision import assert_same


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
