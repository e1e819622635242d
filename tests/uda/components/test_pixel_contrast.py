import math

import pytest
import torch
import torch.nn.functional as F

from mmseg_uda.errors import UserError
from mmseg_uda.uda.components import contrast_losses
from mmseg_uda.uda.components.pixel_contrast import VARIANTS, PixelContrast
from tests.precision import assert_same

CLASSES, CHANNELS, TEMPERATURE = 5, 8, 0.3


def contrast(variant, regulariser=0.0, **options):
    contrast = PixelContrast(
        CLASSES, CHANNELS, variant, TEMPERATURE, regulariser, bank_size=4, **options
    )
    for seed in range(6):
        contrast.observe([cells(seed)], labels(seed))
    return contrast


def cells(seed, size=8):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.rand(2, CHANNELS, size, size, generator=generator), dim=1)


def labels(seed, size=8):
    drawn = torch.randint(0, CLASSES + 1, (2, size, size), generator=torch.manual_seed(seed))
    return drawn.masked_fill(drawn == CLASSES, 255)


def by_the_formula(variant, statistics, embeddings, truth):
    """The losses as the paper writes them, a pixel at a time."""
    losses, t = [], TEMPERATURE
    pairs = zip(embeddings.permute(0, 2, 3, 1).flatten(0, 2), truth.flatten(), strict=True)
    for f, y in ((f, int(y)) for f, y in pairs if y != 255):
        mean, spread = statistics.mean @ f / t, statistics.variance @ f**2 / (2 * t * t)
        if variant == 'proto':
            losses.append(mean.logsumexp(0) - mean[y])
        elif variant == 'dist':
            losses.append((mean + spread).logsumexp(0) - (mean + spread)[y] + spread[y])
        else:
            used = [b[:n] @ f / t for b, n in zip(statistics.bank, statistics.lengths, strict=True)]
            negative = sum(r.mean().exp() for k, r in enumerate(used) if k != y)
            positive = used[y].exp()
            losses.append(-(positive / (positive + negative)).log().mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize('variant', VARIANTS)
@pytest.mark.parametrize('block', [4, 256])
def test_the_losses_and_gradients_are_those_of_the_formulas(float64, variant, block, monkeypatch):
    monkeypatch.setattr(contrast_losses, 'MAX_BLOCK', block)
    module = contrast(variant)
    ours, theirs = (cells(7).requires_grad_() for _ in range(2))
    loss = module.loss([ours], labels(7))
    expected = by_the_formula(variant, module.statistics[0], theirs, labels(7))
    loss.backward()
    expected.backward()
    assert_same(loss, expected)
    assert_same(ours.grad, theirs.grad)


def test_the_regulariser_is_that_of_the_formula(float64):
    module, embeddings, truth = contrast('proto', regulariser=2.0), cells(7), labels(7)
    mean = embeddings.permute(0, 2, 3, 1)[truth != 255].mean(dim=0)
    logits = module.statistics[0].mean @ mean / TEMPERATURE
    expected = logits.log_softmax(0).sum() / (CLASSES * math.log(CLASSES))
    plain = contrast('proto').loss([embeddings], truth)
    assert_same(module.loss([embeddings], truth) - plain, 2 * expected)


@pytest.mark.parametrize('variant', VARIANTS)
def test_without_labels_the_loss_is_zero_and_still_backpropagates(variant):
    embeddings = cells(0).requires_grad_()
    loss = contrast(variant, regulariser=1.0).loss([embeddings], torch.full((2, 8, 8), 255))
    loss.backward()
    assert loss == 0 and not embeddings.grad.any()


@pytest.mark.parametrize('variant', VARIANTS)
def test_several_maps_have_statistics_and_weights_of_their_own(float64, variant):
    weighted = PixelContrast(CLASSES, CHANNELS, variant, TEMPERATURE, weight=[1.0, 0.5], num_maps=2)
    alone = [PixelContrast(CLASSES, CHANNELS, variant, TEMPERATURE) for _ in range(2)]
    truth = labels(0, 4).repeat_interleave(4, 1).repeat_interleave(4, 2)
    maps = [cells(1, 8), cells(2, 4)]
    weighted.observe(maps, truth)
    losses = []
    for module, own in zip(alone, maps, strict=True):
        module.observe([own], truth)
        losses.append(module.loss([own], truth))
    assert_same(weighted.loss(maps, truth), losses[0] + losses[1] / 2)


def test_wrong_options_are_refused():
    with pytest.raises(UserError, match="'mean', choose one of"):
        PixelContrast(CLASSES, CHANNELS, 'mean')
    with pytest.raises(UserError, match='2 numbers for 3 maps'):
        PixelContrast(CLASSES, CHANNELS, weight=[1.0, 0.5], num_maps=3)


def test_nothing_is_larger_than_a_few_times_the_embeddings():
    """The published code expands to cells x classes x channels."""
    module = PixelContrast(19, 64, 'bank', bank_size=20)
    maps, truth = torch.rand(2, 64, 40, 40), torch.randint(0, 19, (2, 40, 40))
    largest = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, tuple | list) else [result]:
                if isinstance(tensor, torch.Tensor):
                    largest.append(tensor.numel())
            return result

    with Watch():
        module.observe([maps], truth)
        module.loss([maps], truth)
    assert max(largest) < 5 * maps.numel()
