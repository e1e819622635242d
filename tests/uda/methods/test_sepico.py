import pytest
import torch

from mmseg_uda.errors import UserError
from tests.precision import assert_same
from tests.uda.conftest import build, hrda, segmentor, sepico, sepico_batch, uda_batch
from tests.uda.steps import (
    learn,
    optimiser,
)
from tests.uda.steps import steps as steps_with


def steps(method, number, wrapper=None):
    return steps_with(method, number, wrapper, sepico_batch)


def test_a_segmentor_without_projection_head_is_refused():
    with pytest.raises(UserError, match='needs a ProjectionHead'):
        build(dict(type='SePiCo', segmentor=segmentor(), crop_size=(32, 32)))


def test_several_maps_are_contrasted_each_by_itself():
    head = dict(in_channels=[64, 256], in_index=[1, 3], input_transform='multiple_select')
    method = sepico('bank', projection=head)
    assert steps(method, 2)[1]['aux.loss_cl'].isfinite()
    assert len(method.contrast.statistics) == 2


def test_an_hrda_student_contrasts_its_context():
    method = sepico(network=hrda, crop_size=(64, 64), start_iteration=0)
    logs = method.backward_passes(method.begin(uda_batch()), optimiser(method))
    assert logs['aux.loss_cl'] > 0 and 'decode.hr.loss_seg' in logs
    assert all(value.isfinite() for value in logs.values())


def test_the_contrast_begins_at_its_iteration():
    before, after = steps(sepico(), 2)
    both = {
        'decode.loss_seg',
        'decode.acc_seg',
        'mix.decode.loss_seg',
        'mix.decode.acc_seg',
        'loss',
    }
    assert set(before) == both
    assert set(after) == both | {'aux.loss_cl', 'tgt.aux.loss_cl'}


def test_statistics_grow_from_the_start_and_with_the_source_alone():
    method = sepico()
    steps(method, 1)
    (statistics,) = method.contrast.statistics
    assert 0 < statistics.count.sum() <= 2 * 8 * 8


def test_only_the_student_learns():
    changed, _ = learn(sepico(), sepico_batch)
    assert changed == {'student'}


def test_without_trusted_pixels_the_target_contrast_is_zero():
    method = sepico(addons=dict(margins=dict(type='IgnoreMargins', top=32, bottom=0)))
    assert steps(method, 2)[1]['tgt.aux.loss_cl'] == 0


def test_no_forward_is_wasted():
    """Teacher: target, its crop, source features; student: source, target, mixed."""
    method, calls = sepico(), []
    for name, network in (('student', method.student), ('teacher', method.teacher.network)):
        network.backbone.register_forward_hook(lambda *_, name=name: calls.append(name))
        network.decode_head.register_forward_hook(
            lambda *_, name=name: calls.append(f'{name} head')
        )
    method.iteration = 1
    steps(method, 1)
    counts = {name: calls.count(name) for name in set(calls)}
    assert counts == {'student': 3, 'student head': 2, 'teacher': 3, 'teacher head': 2}


def test_a_day_partner_is_used_for_static_classes_alone(float64):
    day = dict(type='DayPartner', ratio=0.8, classes=[0, 2])
    method = sepico(addons=dict(day=day))
    addon = method.addons['day']
    probabilities = torch.rand(2, 2, 19, 3, 3)
    mixed = addon.mix(*probabilities)
    share = torch.where(probabilities[0] > 0.4, 0.8, 0.2)
    static = [0, 2]
    expected = share * probabilities[0] + (1 - share) * probabilities[1]
    assert_same(mixed[:, static], expected[:, static])
    others = [k for k in range(19) if k not in static]
    assert torch.equal(mixed[:, others], probabilities[1][:, others])


def test_a_step_by_night_labels_with_both_images():
    method = sepico(addons=dict(day=dict(type='DayPartner')))
    batch = sepico_batch(0)
    batch.target.day = batch.target.images.flip(3)
    method.keep_pictures = True
    logs = method.backward_passes(method.begin(batch), optimiser(method))
    assert all(value.isfinite() for value in logs.values())
    assert method.pictures.batch.target.day.shape == (2, 3, 32, 32)
