"""Projection head: from a backbone's features to embeddings on the unit sphere."""

from collections.abc import Sequence

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

    SePiCo (Xie et al., TPAMI 2023), as published: the last convolution has its ReLU
    too, so embeddings are non-negative. Only training uses this head: a segmentor's
    ``auxiliary_head``, called by ``Segmentor.project``.

    Args:
        in_channels: channels of the chosen map, or of each of the chosen maps.
        channels: size of the embedding.
        num_convs: number of convolutions, at least 1. All but the last keep the width of their
            input (``resize_concat``: that width over the number of maps).
        in_index: which of the backbone's maps, a number or a list.
        input_transform: None: one map. 'resize_concat': all maps of ``in_index``, brought to the
            first one's size and concatenated ("all-fusion"). 'multiple_select': each map of
            ``in_index`` by itself, each with its own embedding.
        norm_cfg: normalisation after each convolution.

    Raises:
        UserError: for an unknown ``input_transform``, no convolution, or another number of
            ``in_channels`` than of maps.
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
                f'ProjectionHead: unknown input_transform {input_transform!r}, choose one of '
                f'{TRANSFORMS}'
            )
        if num_convs < 1:
            raise UserError(f'ProjectionHead: num_convs is {num_convs}, it must be at least 1')
        single = input_transform is None
        self.in_index = [in_index] if single else list(in_index)
        widths = [in_channels] if single else list(in_channels)
        if len(widths) != len(self.in_index):
            raise UserError(
                f'ProjectionHead: {len(widths)} in_channels for {len(self.in_index)} maps'
            )
        self.input_transform = input_transform
        self.channels = channels
        self.num_outputs = 1

        def stack(width: int, hidden: int) -> nn.Sequential:
            sizes = [width, *[hidden] * (num_convs - 1), channels]
            return nn.Sequential(
                *(
                    ConvModule(size, following, 1, norm_cfg=norm_cfg)
                    for size, following in zip(sizes[:-1], sizes[1:], strict=True)
                )
            )

        if input_transform == 'multiple_select':
            self.num_outputs = len(widths)
            self.convs = nn.ModuleList(stack(width, width) for width in widths)
        else:
            width = sum(widths)
            self.convs = stack(width, width // len(widths))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """All maps of the backbone -> embeddings (B, channels, h_i, w_i), unit vectors per cell.

        A list of one map, or with 'multiple_select' of one map for each of ``in_index``.
        """
        maps = [features[index] for index in self.in_index]
        if self.input_transform == 'multiple_select':
            outputs = [convs(x) for convs, x in zip(self.convs, maps, strict=True)]
        else:
            size = maps[0].shape[2:]
            maps = [x if x.shape[2:] == size else _resize(x, size) for x in maps]
            outputs = [self.convs(torch.cat(maps, dim=1))]
        return [F.normalize(at_least_float32(x), dim=1) for x in outputs]


def _resize(x: Tensor, size: torch.Size) -> Tensor:
    return resize(x, size=size, mode='bilinear', align_corners=False)
