"""Projection head: maps features to embeddings of unit length."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.errors import UserError
from mmseg_uda.models.precision import at_least_float32

TRANSFORMS = (None, 'resize_concat', 'multiple_select')


@MODELS.register_module()
class ProjectionHead(BaseModule):
    """1x1 convolutions, each with BatchNorm and ReLU, then L2 normalisation over the channels.

    From SePiCo (Xie et al., TPAMI 2023). As published, the last convolution has a ReLU too, so
    embeddings are non-negative. The head is a segmentor's ``auxiliary_head``, called by
    ``Segmentor.project``, and is used in training only.

    Args:
        in_channels: channels of the input map, or a list for several maps.
        channels: dimension A of the embeddings.
        num_convs: number of convolutions, at least 1. All but the last keep the number of channels
            ('resize_concat': the first divides it by the number of maps).
        in_index: index of the backbone's map that is the input, or a list of indices.
        input_transform: ``None``: one map. 'resize_concat': resize all maps of ``in_index`` to the
            size of the first and concatenate them ("all-fusion"). 'multiple_select': embed each
            map of ``in_index`` separately, with weights of its own.
        norm_cfg: normalisation after each convolution.

    Raises:
        UserError: unknown ``input_transform``, ``num_convs`` below 1, or different numbers of
            ``in_channels`` and ``in_index``.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: int = 512,
        num_convs: int = 2,
        in_index: int | Sequence[int] = 3,
        input_transform: str | None = None,
        norm_cfg: dict | None = dict(type='BN'),  # noqa: B006 - mmseg's convention, never changed
    ) -> None:
        super().__init__()
        if input_transform not in TRANSFORMS:
            raise UserError(
                f'ProjectionHead: unknown input_transform {input_transform!r}, it must be one of '
                f'{TRANSFORMS}'
            )
        if num_convs < 1:
            raise UserError(f'ProjectionHead: num_convs is {num_convs}, it must be at least 1')
        single = input_transform is None
        self.in_index = [in_index] if single else list(in_index)
        widths = [in_channels] if single else list(in_channels)
        if len(widths) != len(self.in_index):
            raise UserError(
                f'ProjectionHead: {len(widths)} in_channels for {len(self.in_index)} maps of '
                'in_index; both must have the same length'
            )
        self.input_transform = input_transform
        self.channels = channels
        self.num_outputs = 1
        hidden = num_convs - 1
        if input_transform == 'multiple_select':
            self.num_outputs = len(widths)
            self.convs = nn.ModuleList(
                _convolutions([width, *[width] * hidden, channels], norm_cfg) for width in widths
            )
        else:
            width = sum(widths)
            narrow = width // len(widths)
            self.convs = _convolutions([width, *[narrow] * hidden, channels], norm_cfg)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """All maps of the backbone (B, D_i, h_i, w_i) -> embeddings (B, A, h_i, w_i).

        Each cell has a vector of unit length (or 0). The list holds one map, with 'multiple_select'
        one map for each entry of ``in_index``.
        """
        maps = [features[index] for index in self.in_index]
        if self.input_transform == 'multiple_select':
            outputs = [convs(x) for convs, x in zip(self.convs, maps, strict=True)]
        else:
            size = maps[0].shape[2:]
            maps = [x if x.shape[2:] == size else _resize(x, size) for x in maps]
            outputs = [self.convs(torch.cat(maps, dim=1))]
        return [F.normalize(at_least_float32(x), dim=1) for x in outputs]


def _convolutions(widths: Sequence[int], norm_cfg: dict | None) -> nn.Sequential:
    """1x1 convolutions from each number of channels in ``widths`` to the next."""
    return nn.Sequential(*(ConvModule(*pair, 1, norm_cfg=norm_cfg) for pair in pairwise(widths)))


def _resize(x: Tensor, size: torch.Size) -> Tensor:
    return resize(x, size=size, mode='bilinear', align_corners=False)
