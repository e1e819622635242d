"""Mix Transformer encoder, MiT-B0 to MiT-B5 (Xie et al., SegFormer, NeurIPS 2021).

State dict keys are those of the published ImageNet checkpoints.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmseg_uda.errors import UserError
from mmseg_uda.models.layout import to_map, to_tokens

HEADS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)
MLP_RATIO = 4
# Epsilons of LayerNorm as in the published code; they matter for dark, uniform images.
TOKEN_NORM_EPS = 1e-5  # after the convolutions that produce tokens
BLOCK_NORM_EPS = 1e-6  # inside and after the blocks


class Architecture(NamedTuple):
    """Channels and number of blocks of each of the four stages."""

    dims: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]


ARCHITECTURES = {
    'b0': Architecture((32, 64, 160, 256), (2, 2, 2, 2)),
    'b1': Architecture((64, 128, 320, 512), (2, 2, 2, 2)),
    'b2': Architecture((64, 128, 320, 512), (3, 4, 6, 3)),
    'b3': Architecture((64, 128, 320, 512), (3, 4, 18, 3)),
    'b4': Architecture((64, 128, 320, 512), (3, 8, 27, 3)),
    'b5': Architecture((64, 128, 320, 512), (3, 6, 40, 3)),
}


class DropPath(nn.Module):
    """Stochastic depth: drops residual branches per sample (Huang et al., ECCV 2016).

    In training, the branch of a sample is kept with probability ``1 - rate`` and then divided by
    this probability. In evaluation it is unchanged.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """Branch (B, ...) -> (B, ...)."""
        if not self.training or self.rate == 0:
            return branch
        keep = 1 - self.rate
        # Always in the default dtype: bfloat16 would round the probability.
        uniform = torch.rand(branch.shape[0], device=branch.device)
        scale = (keep + uniform).floor_().div_(keep).to(branch.dtype)
        return branch * scale.view(-1, *[1] * (branch.dim() - 1))

    def extra_repr(self) -> str:
        return f'rate={self.rate:.3g}'


class PatchEmbedding(nn.Module):
    """Overlapping patch embedding: a strided convolution, then LayerNorm."""

    def __init__(self, in_channels: int, dim: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, kernel, stride, kernel // 2)
        self.norm = nn.LayerNorm(dim, eps=TOKEN_NORM_EPS)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Map (B, C, H, W) -> tokens (B, h * w, D) and their grid size (h, w)."""
        x = self.proj(x)
        height, width = x.shape[2:]
        return self.norm(to_tokens(x)), (height, width)


class EfficientAttention(nn.Module):
    """Multi-head self-attention with keys and values from a coarser grid.

    Args:
        dim: channels of the tokens.
        heads: number of heads, a divisor of ``dim``.
        reduction: stride between the grids of queries and of keys and values.
    """

    def __init__(self, dim: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)
        self.reduced = reduction > 1
        if self.reduced:
            self.sr = nn.Conv2d(dim, dim, reduction, reduction)
            self.norm = nn.LayerNorm(dim, eps=TOKEN_NORM_EPS)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens (B, N, D) on the grid ``size`` -> (B, N, D)."""
        context = self.norm(to_tokens(self.sr(to_map(x, size)))) if self.reduced else x
        query = self.q(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        key, value = self.kv(context).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(query, key, value)
        return self.proj(x.transpose(1, 2).flatten(2))


class DepthwiseConvolution(nn.Module):
    """Depthwise 3x3 convolution on the grid of the tokens.

    Its zero padding provides position information, so MiT needs no position embedding.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens (B, N, D) on the grid ``size`` -> (B, N, D)."""
        return to_tokens(self.dwconv(to_map(x, size)))


class MixFFN(nn.Module):
    """Feed-forward network with a depthwise convolution between its two linear layers."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.dwconv = DepthwiseConvolution(hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens (B, N, D) on the grid ``size`` -> (B, N, D)."""
        return self.fc2(F.gelu(self.dwconv(self.fc1(x), size)))


class Block(nn.Module):
    """Transformer block: pre-norm residual attention, then pre-norm residual feed-forward."""

    def __init__(self, dim: int, heads: int, reduction: int, drop_path_rate: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=BLOCK_NORM_EPS)
        self.attn = EfficientAttention(dim, heads, reduction)
        self.drop_path = DropPath(drop_path_rate)
        self.norm2 = nn.LayerNorm(dim, eps=BLOCK_NORM_EPS)
        self.mlp = MixFFN(dim, MLP_RATIO * dim)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens (B, N, D) on the grid ``size`` -> (B, N, D)."""
        x = x + self.drop_path(self.attn(self.norm1(x), size))
        return x + self.drop_path(self.mlp(self.norm2(x), size))


@MODELS.register_module()
class MiT(BaseModule):
    """Mix Transformer: four stages of transformer blocks at strides 4, 8, 16 and 32.

    Args:
        arch: 'b0', 'b1', ..., 'b5'.
        drop_path_rate: drop rate of the last block; it increases linearly from 0 at the first.
        with_cp: gradient checkpointing: recompute each block in the backward pass. The same
            gradients with less memory and about a third more time.
        init_cfg: see mmengine's ``BaseModule``; ``None`` initialises as the published code does:
            linear layers with a truncated normal distribution of standard deviation 0.02,
            convolutions with a normal distribution of variance 2 / fan-out, biases with 0.

    Raises:
        UserError: unknown ``arch``.
    """

    def __init__(
        self,
        arch: str,
        drop_path_rate: float = 0.1,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if arch not in ARCHITECTURES:
            raise UserError(
                f'MiT: unknown arch {arch!r}, it must be one of {", ".join(ARCHITECTURES)}'
            )
        dims, depths = ARCHITECTURES[arch]
        self.with_cp = with_cp
        for stage in range(4):
            first = stage == 0
            embedding = PatchEmbedding(
                in_channels=3 if first else dims[stage - 1],
                dim=dims[stage],
                kernel=7 if first else 3,
                stride=4 if first else 2,
            )
            self.add_module(f'patch_embed{stage + 1}', embedding)
        steps = sum(depths) - 1
        rates = (drop_path_rate * step / steps for step in range(steps + 1))
        for stage in range(4):
            blocks = nn.ModuleList(
                Block(dims[stage], HEADS[stage], REDUCTIONS[stage], next(rates))
                for _ in range(depths[stage])
            )
            self.add_module(f'block{stage + 1}', blocks)
            self.add_module(f'norm{stage + 1}', nn.LayerNorm(dims[stage], eps=BLOCK_NORM_EPS))

    def init_weights(self) -> None:
        """Initialise as the published code does, then apply ``init_cfg``, if any."""
        if not self.is_init:
            self.apply(_init_layer)
        super().init_weights()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) -> four maps (B, D_i, h_i, w_i) in channels-last memory.

        ``h_0 = ceil(H / 4)``, ``h_i = ceil(h_(i-1) / 2)``; the same for the widths.
        """
        x = images
        features = []
        for stage in range(1, 5):
            x, size = getattr(self, f'patch_embed{stage}')(x)
            for block in getattr(self, f'block{stage}'):
                if self.with_cp and torch.is_grad_enabled():
                    x = checkpoint(block, x, size, use_reentrant=False)
                else:
                    x = block(x, size)
            x = to_map(getattr(self, f'norm{stage}')(x), size)
            features.append(x)
        return features


def _init_layer(layer: nn.Module) -> None:
    if isinstance(layer, nn.Linear):
        nn.init.trunc_normal_(layer.weight, std=0.02)
    elif isinstance(layer, nn.Conv2d):
        fan_out = math.prod(layer.kernel_size) * layer.out_channels // layer.groups
        nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_out))
    elif isinstance(layer, nn.LayerNorm):
        nn.init.ones_(layer.weight)
    if getattr(layer, 'bias', None) is not None:
        nn.init.zeros_(layer.bias)
