"""Two-dimensional pictures (t-SNE) of the features or logits of an image's pixels."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from mmseg.models import BaseSegmentor
from torch.utils.data import DataLoader

from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.errors import UserError
from mmseg_uda.files import atomic_write
from mmseg_uda.random import generator
from mmseg_uda.uda.components.reduce_labels import nearest_labels


def draw_embeddings(
    segmentor: BaseSegmentor,
    loader: DataLoader,
    folder: Path,
    level: Literal['features', 'logits'] = 'features',
    images: int = 5,
    pixels: int = 2000,
    seed: int = 0,
) -> list[Path]:
    """Draw a t-SNE picture ``<image name>.png`` of each of the first test images.

    A point is a cell of the network's last feature map, or of its logits before upsampling, in the
    colour of its true class (the nearest label). Ignored cells are left out.

    Args:
        loader: labelled test images in batches of one.
        images: number of images.
        pixels: most points of a picture; they are drawn at random.
        seed: of these random draws; t-SNE itself always starts from the principal components.

    Returns:
        The files.

    Raises:
        UserError: scikit-learn or matplotlib is not installed.
    """
    try:
        from matplotlib import use
        from matplotlib.figure import Figure
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise UserError(
            f"{error.name} is not installed; this needs the extra: pip install -e '.[analysis]'"
        ) from error
    use('Agg')
    palette = np.array(loader.dataset.metainfo['palette']) / 255
    written = []
    for number, batch in zip(range(images), loader, strict=False):
        points, labels, path = _cells(segmentor, batch, level)
        if len(points) > pixels:
            chosen = np.sort(generator(seed, number).permutation(len(points))[:pixels])
            points, labels = points[chosen], labels[chosen]
        if len(points) < 3:
            raise UserError(f'{path}: only {len(points)} labelled cells, too few for a picture')
        tsne = TSNE(init='pca', random_state=0, perplexity=min(30, (len(points) - 1) / 3))
        plane = tsne.fit_transform(points)
        low, high = plane.min(0), plane.max(0)
        plane = (plane - low) / np.maximum(high - low, 1e-12)
        figure = Figure(figsize=(6, 6), layout='tight')
        axes = figure.add_subplot()
        axes.scatter(*plane.T, s=10, c=palette[labels], linewidths=0)
        axes.axis('off')
        target = folder / f'{Path(path).stem}.png'
        with atomic_write(target) as file:
            figure.savefig(file, format='png', dpi=150)
        written.append(target)
    return written


@torch.no_grad()
def _cells(segmentor: BaseSegmentor, batch: dict, level: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Vectors (N, D) and train ids (N,) of the labelled cells of an image, and the image file."""
    data = segmentor.data_preprocessor(batch, False)
    sample = data['data_samples'][0]
    features = segmentor.features(data['inputs'])
    values = features[-1] if level == 'features' else segmentor.decode(features)
    truth = sample.gt_sem_seg.data.to(values.device).long()
    labels = nearest_labels(truth, values.shape[2:]).flatten()
    rows = values.float().permute(0, 2, 3, 1).flatten(0, 2)
    known = labels != IGNORE
    return rows[known].cpu().numpy(), labels[known].cpu().numpy(), sample.img_path
