"""A bank of CDDA in memory, and maps like those that it is made of."""

import torch

from mmseg_uda.errors import UserError
from mmseg_uda.uda.components.depth_similarity import distribution_tables

CLASSES, SIZE, ROWS = 19, 64, 6
EVERYTHING = dict(reweight_threshold=0.0, relabel_threshold=0.0)


def label_maps(images, size=SIZE, seed=0, classes=6):
    rng = torch.Generator().manual_seed(seed)
    cells = torch.randint(0, classes, (images, 4, 4), generator=rng)
    return cells.repeat_interleave(size // 4, 1).repeat_interleave(size // 4, 2)


def depths(images, size=SIZE, seed=0):
    rows = torch.linspace(255, 0, size).view(1, size, 1).expand(images, size, size)
    noise = torch.rand(images, size, size, generator=torch.Generator().manual_seed(seed))
    return (rows + noise * 4).clamp(0, 255)


class Bank:
    """A bank in memory of crops with all classes in stripes."""

    def __init__(self, size=SIZE, classes=CLASSES):
        self.crop_size, self.num_classes = (size, size), classes
        labels = torch.stack([label_maps(1, size, seed, CLASSES)[0] for seed in range(ROWS)])
        self.labels = labels.to(torch.uint8)
        counts = distribution_tables(labels, depths(ROWS, size), CLASSES)
        self.counts = counts.transpose(0, 1).contiguous().numpy()

    def check(self, crop_size, num_classes):
        if (crop_size, num_classes) != (self.crop_size, self.num_classes):
            raise UserError(f'bank of {self.crop_size}, {self.num_classes} classes')

    def crop(self, row):
        rng = torch.Generator().manual_seed(row)
        image = torch.randint(0, 256, (3, *self.crop_size), generator=rng, dtype=torch.uint8)
        return image, self.labels[row]
