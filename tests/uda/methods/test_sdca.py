import pytest
import torch

from mmseg_uda.config import read_config
from mmseg_uda.experiments.table import load_table
from mmseg_uda.uda.components.pseudo_labels import confident_labels
from mmseg_uda.uda.components.semantic_distributions import SemanticDistributions
from tests.precision import assert_same
from tests.uda.conftest import MIC, build, segmentor, uda_batch
from tests.uda.steps import (
    optimiser,
    steps,
)

LOSSES = {'decode.loss_seg', 'loss_feat', 'loss_out', 'tgt.loss_feat', 'tgt.loss_out'}


PUBLISHED_PROCESSES = 4


def sdca(norm='BN', lovasz_weight=0.0, lovasz_images=None, **options):
    lovasz = {'lovasz_weight': lovasz_weight, 'lovasz_images': lovasz_images}
    network = {**segmentor(norm=norm), 'average': 'valid', **lovasz}
    options = dict(confidence=0.07, temperature=0.5) | options
    return build(dict(type='SDCA', segmentor=network, **options))


def test_a_step_logs_each_loss_and_their_sum():
    (logs,) = steps(sdca(lovasz_weight=0.75), 1)
    losses = LOSSES | {'decode.loss_lovasz'}
    assert set(logs) == losses | {'decode.acc_seg', 'loss'}
    assert logs['loss'].item() == pytest.approx(sum(logs[n].item() for n in losses), rel=1e-6)


def test_gradients_are_those_of_one_loss_against_the_updated_distributions(float64):
    method = sdca(norm='GN', feature_weight=3.0, output_weight=2.0)
    batch = uda_batch()
    method.backward_passes(method.begin(batch), optimiser(method))
    gradients = {n: p.grad.clone() for n, p in method.student.named_parameters()}
    method.zero_grad()

    student, distributions = method.student, SemanticDistributions.of(method.student)
    supervision = student.supervise(batch.source.images, batch.source.labels)
    source = {'feat': supervision.features[-1], 'out': supervision.logits}
    features = student.features(batch.target.images)
    target = {'feat': features[-1], 'out': student.decode(features)}
    labels = confident_labels(target['out'], 0.07)
    assert 0 < (labels != 255).float().mean() < 1
    distributions.update(source, batch.source.labels)
    loss = supervision.losses['decode.loss_seg']
    for maps, own in ((source, batch.source.labels), (target, labels)):
        contrast = distributions.loss(maps, own, 0.5)
        loss = loss + 3 * contrast['feat'] + 2 * contrast['out']
    loss.backward()
    for name, p in student.named_parameters():
        assert_same(gradients[name], p.grad, name)


def test_the_distributions_are_of_the_source_alone():
    method = sdca()
    steps(method, 1)
    labels = uda_batch(seed=0).source.labels
    expected = (labels != 255).sum() // 16**2  # the output level has a cell for 4 x 4 pixels
    assert method.distributions.levels['out'].count.sum() == 16 * expected
    assert method.distributions.levels['feat'].count.sum() <= 2 * 2 * 2


def test_a_level_without_weight_is_left_out():
    method = sdca(output_weight=0.0)
    (logs,) = steps(method, 1)
    assert LOSSES - set(logs) == {'loss_out', 'tgt.loss_out'}
    assert not method.distributions.levels['out'].count.any()


def test_without_confident_cells_the_target_adds_nothing():
    (logs,) = steps(sdca(confidence=1.0), 1)
    assert logs['tgt.loss_feat'] == logs['tgt.loss_out'] == 0


def test_no_forward_is_wasted():
    method, calls = sdca(), []
    for part in (method.student.backbone, method.student.decode_head):
        part.register_forward_hook(lambda module, *_: calls.append(type(module).__name__))
    steps(method, 1)
    assert calls == ['MiT', 'DAFormerHead'] * 2


def test_masked_consistency_joins():
    alone, joined = steps(sdca(), 1)[0], steps(sdca(addons=dict(mic=MIC)), 1)[0]
    assert 0 < joined['masked.decode.loss_seg'].isfinite()
    assert all(torch.equal(joined[name], alone[name]) for name in LOSSES)


def test_it_starts_from_the_statistics_of_a_folder_or_file(tmp_path):
    method = sdca()
    steps(method, 1)
    method.distributions.save(tmp_path)
    for place in (tmp_path, tmp_path / 'feat_dist.pth'):
        other = sdca(statistics=str(place))
        assert not other.distributions.levels['feat'].count.any()
        other.init_weights()
        for name, value in method.distributions.state_dict().items():
            assert torch.equal(value, other.distributions.state_dict()[name]), name


def test_a_process_takes_as_many_images_for_the_lovasz_loss_as_a_published_one():
    configs = {s.config for id in range(40, 48) for s in load_table()[id].stages if s.config}
    checked = 0
    for path in configs:
        config = read_config(path)
        network = config.model.segmentor
        if network.lovasz_weight:
            assert network.lovasz_images == config.total_batch_size // PUBLISHED_PROCESSES
            checked += 1
    assert checked == 16
