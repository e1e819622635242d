"""Two crops of the same place of an image: from the rescaled and augmented image, and as it is."""

import random
from collections.abc import Sequence

import numpy as np
from mmengine.dataset import Compose
from mmseg.registry import TRANSFORMS

from mmseg_uda.datasets.fixed_size import LoadPair, resize_pair
from mmseg_uda.errors import UserError

TRIES = 10
FEW_VALUES = 10  # label values (255 included); a crop with no more of them is drawn again

Corner = tuple[int, int]


@TRANSFORMS.register_module()
class PairedCrop(LoadPair):
    """Load a labelled sample and cut out a crop of it at two scales.

    The sample is resized twice, the image bicubic and the label nearest: to ``size``, and to
    ``size`` times a random factor. The latter image is augmented, and a crop is drawn from it; up
    to ten are drawn until one has more than ten label values. The former, *plain*, is cropped at
    the same relative position. So the places in the two crops coincide up to the factor. Both are
    flipped together. Factor, augmentation, row and column, and flip are drawn from Python's
    generator, in this order.

    Adds the augmented crop as ``img`` and ``gt_seg_map``, the plain one as the view ``plain`` with
    its own label, ``seg_fields``, ``img_shape`` and ``crop_size``.

    Args:
        size: (width, height) of the plain image.
        crop_size: (height, width) of the crops.
        scales: smallest and largest factor of both sides.
        augment: pipeline for the rescaled image, e.g. ``[dict(type='AutoAugment')]``; its
            transforms may change ``img``, not its size.
        flip: probability of a horizontal flip.

    Raises:
        UserError: the crop does not fit into the smallest rescaled image; a sample has no label, or
            one of another size; a damaged file.
    """

    def __init__(
        self,
        size: Sequence[int],
        crop_size: Sequence[int],
        scales: Sequence[float] = (0.8, 1.2),
        augment: Sequence[dict] = (),
        flip: float = 0.5,
    ) -> None:
        super().__init__()
        self.size = tuple(size)
        self.crop_size = tuple(crop_size)
        self.scales = tuple(scales)
        self.augment = Compose(augment)
        self.flip = flip
        smallest = self._scaled_size(min(1.0, *self.scales))[::-1]
        if any(side < crop for side, crop in zip(smallest, self.crop_size, strict=True)):
            raise UserError(
                f'PairedCrop: crop_size is {self.crop_size} (height, width), but the smallest '
                f'image is {smallest}: lower crop_size, or raise size or scales'
            )

    def _fit(
        self, image: np.ndarray, label: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        return image, label

    def transform(self, results: dict) -> dict:
        results = super().transform(results)
        if 'gt_seg_map' not in results:
            raise UserError(
                f'{results["img_path"]} has no label, which PairedCrop needs: set seg_map_path in '
                'data_prefix'
            )
        native = results['img'], results['gt_seg_map']
        low, high = self.scales
        scaled = self._scaled_size(low + (high - low) * random.random())
        image, label = resize_pair(*native, scaled)
        image = self.augment({'img': image})['img']
        corner = self._draw_corner(label)
        plain_corner = self._plain_corner(corner, scaled)
        mirror = random.random() < self.flip

        image, label = self._cut((image, label), corner, mirror)
        plain, plain_label = self._cut(resize_pair(*native, self.size), plain_corner, mirror)
        geometry = self._geometry(corner, plain_corner, scaled, mirror)
        results |= dict(img=image, gt_seg_map=label)
        results['views'] = {'plain': ([plain], geometry[np.newaxis], [plain_label])}
        results['img_shape'] = results['crop_size'] = self.crop_size
        return results

    def _scaled_size(self, factor: float) -> tuple[int, int]:
        """(width, height) of the rescaled image."""
        width, height = (round(side * factor) for side in self.size)
        return width, height

    def _draw_corner(self, label: np.ndarray) -> Corner:
        """Draw the upper left pixel (y, x) of a crop of the rescaled image."""
        height, width = self.crop_size
        for _ in range(TRIES):
            y = random.randint(0, label.shape[0] - height)
            x = random.randint(0, label.shape[1] - width)
            if len(np.unique(label[y : y + height, x : x + width])) > FEW_VALUES:
                break
        return y, x

    def _plain_corner(self, corner: Corner, scaled: tuple[int, int]) -> Corner:
        """The upper left pixel in the plain image, at the same share of the room for the crop."""
        y, x = (
            at * (side - crop) // max(scaled_side - crop, 1)
            for at, side, scaled_side, crop in zip(
                corner, self.size[::-1], scaled[::-1], self.crop_size, strict=True
            )
        )
        return y, x

    def _cut(
        self, pair: tuple[np.ndarray, np.ndarray], corner: Corner, mirror: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        (y, x), (height, width) = corner, self.crop_size
        image, label = (array[y : y + height, x : x + width] for array in pair)
        if mirror:
            image, label = image[:, ::-1], label[:, ::-1]
        return np.ascontiguousarray(image), np.ascontiguousarray(label)

    def _geometry(
        self, corner: Corner, plain_corner: Corner, scaled: tuple[int, int], mirror: bool
    ) -> np.ndarray:
        """Affine map from the augmented crop to the plain one, see ``Views``: (2, 3) float32."""
        geometry = np.zeros((2, 3), np.float32)
        sides = zip(
            corner, plain_corner, scaled[::-1], self.size[::-1], self.crop_size, strict=True
        )
        for axis, (at, plain_at, scaled_side, side, crop) in enumerate(sides):
            ratio = side / scaled_side
            shift = 2 * (at * ratio - plain_at) / crop + ratio - 1
            row = 1 - axis  # x comes first
            geometry[row, row] = ratio
            geometry[row, 2] = -shift if mirror and row == 0 else shift
        return geometry
