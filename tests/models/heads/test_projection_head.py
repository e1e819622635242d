import pytest
import torch

from mmseg_uda.errors import UserError
from mmseg_uda.models.heads.projection_head import ProjectionHead

CHANNELS = [8, 16, 24, 32]
MAPS = [torch.rand(2, c, 16 // 2**i, 24 // 2**i) for i, c in enumerate(CHANNELS)]


@pytest.mark.parametrize(
    'options, sizes',
    [
        (dict(in_channels=32, in_index=3), [(2, 3)]),
        (
            dict(in_channels=CHANNELS, in_index=[0, 1, 2, 3], input_transform='resize_concat'),
            [(16, 24)],
        ),
        (
            dict(in_channels=[16, 32], in_index=[1, 3], input_transform='multiple_select'),
            [(8, 12), (2, 3)],
        ),
    ],
)
@pytest.mark.parametrize('num_convs', [1, 2, 3])
def test_embeddings_are_unit_vectors_without_negative_entries(options, sizes, num_convs):
    head = ProjectionHead(channels=6, num_convs=num_convs, **options)
    outputs = head(MAPS)
    assert head.num_outputs == len(outputs)
    assert [tuple(x.shape) for x in outputs] == [(2, 6, *size) for size in sizes]
    for x in outputs:
        assert (x >= 0).all()
        length = x.norm(dim=1)
        assert torch.allclose(length[length > 0], torch.ones(()), atol=1e-6)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(in_channels=8, input_transform='concat'), "unknown input_transform 'concat'"),
        (dict(in_channels=8, num_convs=0), 'num_convs is 0'),
        (
            dict(in_channels=[8], in_index=[0, 1], input_transform='resize_concat'),
            '1 in_channels for 2 maps',
        ),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        ProjectionHead(**options)
