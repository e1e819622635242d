"""Depth maps of images by Depth Anything V2 (Yang et al., NeurIPS 2024), using transformers.

Images are preprocessed as by the model's authors: cubic resizing to multiples of the patch size,
normalisation by ImageNet's mean and standard deviation. The image processor of transformers is not
used because it needs torchvision.
"""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from mmseg_uda.datasets.depth import depth_name
from mmseg_uda.datasets.image_files import forkable_opencv, read_image
from mmseg_uda.errors import UserError
from mmseg_uda.files import atomic_write

SUFFIXES = '.png', '.jpg', '.jpeg'

_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)


def estimate_depth(
    images: str | Path,
    out: str | Path,
    model: str,
    size: int = 518,
    batch_size: int = 4,
    workers: int = 2,
    device: str = 'cpu',
) -> None:
    """Write the depth map of every image below a folder; existing depth maps are kept.

    A depth map is an 8-bit PNG of the image's size: inverse depth scaled to 0..255 per image, 255 =
    nearest. The output has the same sub-folders; :func:`depth_name` gives the file names.

    Args:
        images: folder of the images.
        out: folder of the depth maps.
        model: a folder, or a name on the model hub.
        size: short side of the network input in pixels; the published models used 518.
        batch_size: images per forward pass.
        workers: number of processes that load images.
        device: device of the network.

    Raises:
        UserError: no images, two images with the same depth map name, a damaged image, transformers
            is not installed, or the model cannot be loaded or does not predict inverse depth.
    """
    images, out = Path(images), Path(out)
    names = _names(images)
    missing = {name: target for name, target in names.items() if not (out / target).exists()}
    if len(missing) < len(names):
        print(f'{out}: {len(names) - len(missing)} of {len(names)} depth maps exist already')
    if not missing:
        return
    network = load_model(model).to(device).eval()
    dataset = _Images(images, list(missing), size, network.config.patch_size)
    loader = DataLoader(dataset, batch_size, num_workers=workers, collate_fn=list)
    with forkable_opencv(), tqdm(total=len(missing), desc='depth', unit='image') as bar:
        for batch in loader:
            for name, depth in _predict(network, batch, device):
                with atomic_write(out / missing[name]) as file:
                    Image.fromarray(depth).save(file, 'PNG')
                bar.update()


def load_model(model: str) -> nn.Module:
    """Load a depth estimation model of transformers.

    Raises:
        UserError: see :func:`estimate_depth`.
    """
    try:
        from transformers import DepthAnythingForDepthEstimation
    except ImportError as error:
        raise UserError(
            "depth estimation needs transformers: pip install 'mmseg-uda[depth]'"
        ) from error
    try:
        network = DepthAnythingForDepthEstimation.from_pretrained(model)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().split('\n')[0]
        raise UserError(
            f'--model {model}: not the folder or hub name of a Depth Anything model ({reason})'
        ) from error
    if network.config.depth_estimation_type != 'relative':
        raise UserError(f'--model {model} predicts metric depth: choose a model of relative depth')
    return network


def stretch(inverse: np.ndarray) -> np.ndarray:
    """Scale inverse depth (H, W) to uint8: minimum 0, maximum 255; all 0 if it is constant."""
    low, high = inverse.min(), inverse.max()
    if high == low:
        return np.zeros(inverse.shape, np.uint8)
    return ((inverse - low) / (high - low) * 255).astype(np.uint8)


def fitted_size(height: int, width: int, size: int, patch: int) -> tuple[int, int]:
    """Return (height, width): short side about ``size``, both multiples of ``patch`` (pixels)."""
    factor = size / min(height, width)

    def fitted(side: int) -> int:
        pixels = round(side * factor / patch) * patch
        return pixels if pixels >= size else int(np.ceil(side * factor / patch) * patch)

    return fitted(height), fitted(width)


class _Images(Dataset):
    def __init__(self, folder: Path, names: list[str], size: int, patch: int) -> None:
        self.folder, self.names, self.size, self.patch = folder, names, size, patch

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return ``name``, original ``size`` (height, width), ``pixels`` float32 (3, h, w)."""
        name = self.names[index]
        image = read_image(str(self.folder / name))[..., ::-1].astype(np.float32) / 255
        height, width = fitted_size(*image.shape[:2], self.size, self.patch)
        pixels = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
        pixels = torch.from_numpy((pixels - _MEAN) / _STD).permute(2, 0, 1)
        return {'name': name, 'size': image.shape[:2], 'pixels': pixels}


@torch.inference_mode()
def _predict(
    network: nn.Module, batch: list[dict[str, Any]], device: str
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and depth map (H, W) uint8; adjacent images of equal size form one batch."""
    for _, group in itertools.groupby(batch, key=lambda sample: sample['pixels'].shape):
        samples = list(group)
        pixels = torch.stack([sample['pixels'] for sample in samples]).to(device)
        depths: Tensor = network(pixel_values=pixels).predicted_depth
        for sample, depth in zip(samples, depths[:, None], strict=True):
            depth = F.interpolate(depth[None], sample['size'], mode='bilinear', align_corners=True)
            yield sample['name'], stretch(depth[0, 0].float().cpu().numpy())


def _names(folder: Path) -> dict[str, str]:
    """Return image -> depth map, relative to their folders, in sorted order."""
    if not folder.is_dir():
        raise UserError(f'{folder}: no such folder')
    paths = (
        os.path.relpath(os.path.join(place, file), folder)
        for place, _, files in os.walk(folder, followlinks=True)
        for file in files
        if file.lower().endswith(SUFFIXES) and not file.startswith('.')
    )
    names = {path: depth_name(path) for path in sorted(paths)}
    if not names:
        raise UserError(f'{folder}: no images ({", ".join(SUFFIXES)})')
    images_of: dict[str, str] = {}
    for image, depth in names.items():
        if other := images_of.get(depth):
            raise UserError(
                f'{folder}: {other} and {image} would have the same depth map {depth}: rename one'
            )
        images_of[depth] = image
    return names
