"""Warps between an image and its views by 2x3 affine matrices.

A *geometry* (..., 2, 3) maps positions (x, y) in one frame to positions in another. Coordinates are
-1 and 1 at the outer borders of a frame (``align_corners=False`` of ``affine_grid``), whatever its
size in pixels. A view's geometry maps the image's frame to the view's. No function here
synchronises with the host.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(maps: Tensor, geometry: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Sample maps bilinearly at affine positions; outside of the maps there is 0.

    To move a view's maps into the frame of its image, give the view's geometry; to move an image's
    maps into the frame of a view, give its inverse.

    Args:
        maps: (N, C, h, w).
        geometry: (N, 2, 3), from the frame of the result to the frame of ``maps``.
        size: (H, W) of the result; default: of ``maps``.

    Returns:
        (N, C, H, W).

    >>> flip = torch.tensor([[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> warp(torch.tensor([[[[1.0, 2.0, 3.0]]]]), flip).tolist()
    [[[[3.0, 2.0, 1.0]]]]
    """
    shape = [len(geometry), 1, *(size or maps.shape[-2:])]
    grid = F.affine_grid(geometry.to(maps.dtype), shape, align_corners=False)
    return F.grid_sample(maps, grid, padding_mode='zeros', align_corners=False)


def inverse(geometry: Tensor) -> Tensor:
    """The geometry (..., 2, 3) that undoes ``geometry`` (..., 2, 3).

    >>> inverse(torch.tensor([[2.0, 0.0, 1.0], [0.0, -4.0, 2.0]])).tolist()
    [[0.5, 0.0, -0.5], [0.0, -0.25, 0.5]]
    """
    (a, b, x), (c, d, y) = (row.unbind(-1) for row in geometry.unbind(-2))
    rows = ((d, -b, b * y - d * x), (-c, a, c * x - a * y))
    adjugate = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    return adjugate / (a * d - b * c)[..., None, None] + 0.0  # no negative zeros


def compose(second: Tensor, first: Tensor) -> Tensor:
    """The geometry (..., 2, 3) that applies ``first``, then ``second``; leading axes broadcast."""
    matrix, shift = second[..., :2], second[..., 2:]
    moved = matrix @ first
    return torch.cat((moved[..., :2], moved[..., 2:] + shift), dim=-1)


def window(corners: Tensor, size: tuple[int, int], image_size: tuple[int, int]) -> Tensor:
    """The geometry (B, 2, 3) from a window of an image to the image.

    Args:
        corners: (B, 2) int64, the window's upper left pixel (y, x).
        size: (h, w) of the window in pixels.
        image_size: (H, W) of the image in pixels.

    >>> window(torch.tensor([[0, 4]]), (2, 4), (2, 8)).tolist()  # the right half
    [[[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]]
    """
    (h, w), (height, width) = size, image_size
    y, x = corners.unbind(-1)
    centres = (2 * x + w) / width - 1, (2 * y + h) / height - 1
    geometry = torch.zeros(len(corners), 2, 3, device=corners.device)
    geometry[:, 0, 0], geometry[:, 1, 1] = w / width, h / height
    geometry[:, 0, 2], geometry[:, 1, 2] = centres
    return geometry
