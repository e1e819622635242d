from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp

from mmseg_uda.errors import UserError
from mmseg_uda.uda.addons.mic import MODES, block_grid, block_mask
from mmseg_uda.uda.components.draws import StepDraws
from tests.precision import assert_same
from tests.uda.conftest import build, segmentor, sepico, sepico_batch, uda_batch
from tests.uda.ranks import own_share, process_group
from tests.uda.steps import no_host_round_trips, optimiser, steps

ALL_MODES = [mode + aug for mode in MODES for aug in ('', 'aug')]
OWN = dict(alpha=0.9, threshold=0.07)


def host(kind='SelfTraining', mode='separatetrg', norm='BN', addons=None, **options):
    """A method with MIC; its other add-ons come first."""
    mic = dict(type='MaskedConsistency', mode=mode, block_size=16, **options)
    config = dict(type=kind, segmentor=segmentor(norm=norm), addons={**(addons or {}), 'mic': mic})
    if kind == 'SelfTraining':
        config['threshold'] = 0.07
    return build(config)


def masked_call(method, batch=None, number=-1):
    """Images, labels and weight of the masked pass of one step."""
    calls, supervise = [], method.student.supervise
    method.student.supervise = lambda *args: calls.append(args) or supervise(*args)
    logs = method.backward_passes(method.begin(batch or uda_batch()), optimiser(method))
    return *calls[number], logs


@pytest.mark.parametrize(
    ('size', 'block', 'grid'),
    [((1024, 1024), 64, (16, 16)), ((100, 75), 16, (6, 5)), ((80, 48), 32, (2, 2))]
    + [((64, 128), 256, (1, 1))],
)
def test_grids_round_half_to_even_and_have_a_block(size, block, grid):
    assert block_grid(size, block) == grid


def test_masks_keep_what_exceeds_the_ratio():
    grids = torch.tensor([[0.1, 0.7], [0.71, 0.9]]).view(1, 1, 2, 2)
    mask = block_mask(grids, 0.7, (4, 6))
    assert mask.shape == (1, 1, 4, 6)
    assert torch.equal(mask[0, 0, :, 0], torch.tensor([0.0, 0, 1, 1]))
    assert mask[0, 0, :2].sum() == 0 and mask[0, 0, 2:].sum() == 12


def test_masks_hide_the_ratio_of_the_blocks():
    grids = StepDraws(0, 0, batch_size=4).block_grids((64, 64))
    assert (grids > 0.7).float().mean().item() == pytest.approx(0.3, abs=0.01)


def test_an_unknown_mode_is_refused():
    with pytest.raises(UserError, match="mode 'together' must be one of separate, "):
        host(mode='together')


def assert_masked(images, originals):
    """Whole 16 x 16 blocks are blank, the others are as they were; both occur."""
    cells = images.unfold(2, 16, 16).unfold(3, 16, 16).abs().amax((1, 4, 5)) > 0
    mask = cells.repeat_interleave(16, 1).repeat_interleave(16, 2)[:, None]
    assert 0 < cells.float().mean() < 1
    assert torch.equal(images, originals * mask)


def test_separatetrg_masks_the_target_and_wants_the_pseudo_labels():
    method, batch = host(mode='separatetrg'), uda_batch()
    method.keep_pictures = True
    images, labels, weight, _ = masked_call(method, batch)
    pseudo = method.pictures.pseudo
    assert_masked(images, batch.target.images)
    assert labels is pseudo.labels and weight is pseudo.weight


def test_separatesrc_masks_the_source_and_wants_its_labels():
    batch = uda_batch()
    images, labels, weight, _ = masked_call(host(mode='separatesrc'), batch)
    assert_masked(images, batch.source.images)
    assert torch.equal(labels, batch.source.labels) and weight is None


@pytest.mark.parametrize('number', [2, 4])
def test_separate_masks_one_image_of_each_domain_of_every_two(number):
    method, batch = host(mode='separate'), uda_batch(images=number)
    method.keep_pictures = True
    images, labels, weight, _ = masked_call(method, batch)
    pseudo, even = method.pictures.pseudo, slice(None, None, 2)
    assert_masked(images[even], batch.source.images[even])
    assert_masked(images[1::2], batch.target.images[even])
    assert torch.equal(labels[even], batch.source.labels[even])
    assert torch.equal(labels[1::2], pseudo.labels[even])
    assert (weight[even] == 1).all() and torch.equal(weight[1::2], pseudo.weight[even])


def test_separate_wants_pairs():
    method = host(mode='separate')
    with pytest.raises(UserError, match='has a batch of 1: set train_dataloader.batch_size'):
        masked_call(method, uda_batch(images=1))


@pytest.mark.parametrize('mode', ALL_MODES)
def test_without_target_every_mode_masks_the_source(mode):
    method, batch = host('SourceOnly', mode=mode, blur=False, jitter_threshold=1.0), uda_batch()
    images, labels, weight, logs = masked_call(method, batch)
    assert_masked(images, batch.source.images)
    assert torch.equal(labels, batch.source.labels) and weight is None
    losses = logs['decode.loss_seg'], logs['masked.decode.loss_seg']
    assert logs['loss'].item() == pytest.approx(sum(losses).item(), rel=1e-6)


@pytest.mark.parametrize('mode', ['separatetrgaug', 'separateaug'])
def test_aug_changes_colours_before_masking(mode, monkeypatch):
    monkeypatch.setattr(StepDraws, 'triggers', lambda self, stream=0: (stream == 3,) * 2)
    batch = uda_batch()
    plain, *_ = masked_call(host(mode=mode.removesuffix('aug')), batch)
    images, *_ = masked_call(host(mode=mode), batch)
    assert torch.equal(images == 0, plain == 0)
    assert (images - plain).abs().amax((1, 2, 3)).min() > 0.1


def test_the_batch_shares_order_sigma_and_triggers_but_not_factors():
    draws = StepDraws(1, 5, batch_size=3)
    jitter = draws.common_jitter(0.2, stream=3)
    assert len(set(jitter.brightness)) == len(jitter.hue) == 3
    assert sorted(jitter.order) == [0, 1, 2, 3]
    assert len(set(draws.common_sigma(3))) == 1 and len(draws.common_sigma(3)) == 3
    assert draws.triggers(3) != draws.triggers()


def test_the_weight_scales_all_losses_of_the_pass_and_no_figure():
    class Detailed(torch.nn.Module):
        """A student with a second loss, as HRDA's."""

        def __init__(self, student):
            super().__init__()
            self.student = student

        def supervise(self, *args):
            supervision = self.student.supervise(*args)
            supervision.losses['decode.hr.loss_seg'] = supervision.losses['decode.loss_seg']
            return supervision

    logs = []
    for weight in (1.0, 0.5):
        method = host(weight=weight, mode='separatesrc')
        step = method.begin(uda_batch())
        step.student = Detailed(method.student)
        logs += method.addons['mic'].passes(step)
    for name in ('masked.decode.loss_seg', 'masked.decode.hr.loss_seg'):
        assert logs[1][name].item() == pytest.approx(0.5 * logs[0][name].item())
    assert logs[0]['masked.decode.acc_seg'] == logs[1]['masked.decode.acc_seg']


def teachers(method):
    return {name.split('.')[0] for name, _ in method.named_parameters() if 'teacher' in name}


def test_the_teacher_is_shared_if_all_is_the_same():
    assert teachers(host()) == {'teacher'}
    assert teachers(host(**OWN)) == {'teacher', 'addons'}
    assert teachers(host(alpha=0.5)) == teachers(host(threshold=None)) == {'teacher', 'addons'}
    assert teachers(host(mode='separatesrc', alpha=0.5)) == {'teacher'}
    assert 'addons.mic.teacher.network.backbone.norm1.weight' in host(**OWN).state_dict()


def test_an_own_teacher_with_the_hosts_settings_labels_as_the_host():
    """It follows the same student with the same momentum; its own BatchNorm uses the batch too."""
    method = host(threshold=0.07, addons=dict(margins=dict(type='IgnoreMargins', top=4, bottom=8)))
    method.keep_pictures = True
    for _ in range(3):
        _, labels, weight, _ = masked_call(method, number=2)
        pseudo = method.pictures.pseudo
        assert torch.equal(labels, pseudo.labels) and torch.equal(weight, pseudo.weight)
        with torch.no_grad():
            for parameter in method.student.parameters():
                parameter += 0.01 * torch.randn_like(parameter)
        method.iteration += 1
    assert method.addons['mic'].teacher.alpha == method.teacher.alpha


def test_without_threshold_every_pixel_outside_the_margins_counts():
    margins = dict(margins=dict(type='IgnoreMargins', top=4, bottom=8))
    _, _, weight, _ = masked_call(host(threshold=None, addons=margins))
    assert weight.unique().tolist() == [0, 1]
    assert (weight[:, 4:-8] == 1).all()


def test_the_own_teacher_moves_with_its_own_momentum():
    method = host('MinEnt', alpha=0.5, threshold=0.5)
    steps(method, 4)
    student = dict(method.student.named_parameters())
    teacher = dict(method.addons['mic'].teacher.network.named_parameters())
    assert method.addons['mic'].teacher.alpha == 0.5
    assert any(not torch.equal(value, student[name]) for name, value in teacher.items())


@pytest.mark.parametrize('kind', ['MinEnt', 'AdvSeg'])
def test_a_method_without_teacher_cannot_lend_its_settings(kind):
    method = host(kind)
    with pytest.raises(UserError, match=r"cannot be the 'same' .* give numbers"):
        list(method.passes(method.begin(uda_batch())))


@pytest.mark.parametrize('options', [{}, OWN], ids=['shared', 'own'])
@pytest.mark.parametrize('mode', ALL_MODES)
def test_the_step_asks_the_device_for_nothing(mode, options):
    method = host(mode=mode, **options)
    wrapper, batch = optimiser(method), uda_batch()
    with no_host_round_trips():
        logs = method.backward_passes(method.begin(batch), wrapper)
    assert logs['masked.decode.loss_seg'].isfinite()


def test_it_joins_sepico():
    mic = dict(type='MaskedConsistency', mode='separateaug', block_size=8)
    method = sepico(start_iteration=0, addons=dict(mic=mic))
    logs = method.backward_passes(method.begin(sepico_batch()), optimiser(method))
    assert {'aux.loss_cl', 'mix.decode.loss_seg', 'masked.decode.loss_seg'} < logs.keys()
    assert all(value.isfinite() for value in logs.values())


def run(rank: int, world_size: int, rendezvous: Path, results: dict) -> None:
    with process_group(rank, world_size, rendezvous):
        for mode in ('separatetrgaug', 'separateaug'):
            method = host(mode=mode, norm='GN', jitter_threshold=0.0)
            batch = own_share(uda_batch(images=4), rank, world_size)
            images, labels, _, logs = masked_call(method, batch)
            results[mode, world_size, rank] = images, labels, logs['masked.decode.loss_seg']


@pytest.mark.slow
def test_two_ranks_mask_what_one_masks(tmp_path):
    results = mp.Manager().dict()
    run(0, 1, tmp_path / 'rendezvous', results)
    mp.spawn(run, (2, tmp_path / 'rendezvous', results), nprocs=2)
    for mode in ('separatetrgaug', 'separateaug'):
        one, two = results[mode, 2, 0], results[mode, 2, 1]
        images, labels, loss = results[mode, 1, 0]
        assert_same(torch.cat([one[0], two[0]]), images)
        assert torch.equal(torch.cat([one[1], two[1]]), labels)
        assert_same((one[2] + two[2]) / 2, loss)


def test_a_batch_may_have_more_source_than_target_images():
    """Masks are of the target images alone."""
    batch = uda_batch()
    twice = batch.source.map(lambda values: torch.cat([values, values]))
    method = host('MinEnt', **OWN)
    images, labels, _, logs = masked_call(method, replace(batch, source=twice))
    assert len(images) == len(labels) == len(batch.target.images)
    assert torch.isfinite(logs['loss'])
