from dataclasses import replace

import pytest
import torch

from mmseg_uda.errors import UserError
from mmseg_uda.uda.components.channel_shuffle import ORDERS, shuffle_channels
from mmseg_uda.uda.components.draws import StepDraws
from tests.uda.conftest import build, segmentor, uda_batch
from tests.uda.steps import steps


def source_only(**options):
    return build(dict(type='SourceOnly', segmentor=segmentor(), **options))


def published(image: torch.Tensor, draw: int) -> torch.Tensor:
    """Assignments to the channels one after the other, as the published code makes them."""
    image = image.clone()
    order = {1: ((0, 2), (1, 0), (2, 1)), 2: ((0, 1), (1, 2), (2, 0))}
    for to, source in order.get(draw, ()):
        image[to] = image[source]
    return image


@pytest.mark.parametrize('draw', [0, 1, 2])
def test_the_published_orders_copy_channels(draw):
    images = torch.randn(1, 3, 4, 5)
    found = shuffle_channels(images, 'published', [draw])
    assert torch.equal(found[0], published(images[0], draw))


def test_channels_are_permuted_cyclically():
    images = torch.arange(3.0).view(1, 3, 1, 1).expand(3, -1, -1, -1)
    found = shuffle_channels(images, 'permute', [0, 1, 2])
    assert found.flatten(1).tolist() == [[0, 1, 2], [2, 0, 1], [1, 2, 0]]
    assert torch.equal(shuffle_channels(images, 'none', [0, 0, 0]), images)


@pytest.mark.parametrize('kind', ORDERS)
def test_the_student_sees_shuffled_images(kind):
    method = source_only(channel_shuffle=kind, seed=3)
    seen, batches = [], [uda_batch(seed=i) for i in range(4)]
    method.student.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    steps(method, len(batches), batches=lambda i: batches[i])
    orders = set()
    for i, (images, batch) in enumerate(zip(seen, batches, strict=True)):
        drawn = StepDraws(3, i, 2).channel_orders(len(ORDERS[kind]))
        assert torch.equal(images, shuffle_channels(batch.source.images, kind, drawn))
        orders.update(drawn)
    assert orders == set(range(len(ORDERS[kind])))


def test_each_source_image_has_an_order_whatever_the_number_of_target_images():
    batch = uda_batch()
    target = replace(batch.target, images=batch.target.images[:1])
    step = source_only(channel_shuffle='permute').begin(replace(batch, target=target))
    assert len(step.draws.channel_orders(3)) == len(batch.source.images) == 2


def test_an_unknown_order_is_refused():
    with pytest.raises(UserError, match="channel_shuffle is 'shuffle', it must be one of none, p"):
        source_only(channel_shuffle='shuffle')
