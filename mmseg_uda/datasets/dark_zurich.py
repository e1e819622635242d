"""Dark Zurich: night images paired with images of the same places by day."""

import csv
from pathlib import Path

from mmcv.transforms import BaseTransform
from mmseg.datasets import DarkZurichDataset
from mmseg.registry import DATASETS, TRANSFORMS

from mmseg_uda.datasets.image_files import read_image
from mmseg_uda.datasets.transforms import resize_image
from mmseg_uda.errors import UserError

SUFFIX = '_rgb_anon.png'


def day_partners(folder: str | Path) -> dict[str, str]:
    """Read night id -> day id, e.g. ``train/night/x/y -> train/day/u/v``, from ``*.csv`` files.

    Args:
        folder: of the files, also in sub-folders; each row is ``night id,day id``.

    Raises:
        UserError: there is no file, a row is not a pair, or two rows contradict each other.
    """
    partners: dict[str, str] = {}
    files = sorted(Path(folder).rglob('*.csv'))
    if not files:
        raise UserError(
            f'{folder}: no *.csv with the day image of each night image; they come with Dark '
            "Zurich's training set (folder corresp)"
        )
    for path in files:
        with path.open(newline='') as file:
            for row in filter(None, csv.reader(file)):
                if len(row) != 2:
                    raise UserError(f'{path}: a row is "night id,day id", this is not: {row}')
                night, day = (name.strip() for name in row)
                if partners.setdefault(night, day) != day:
                    raise UserError(f'{path}: {night} has two day images, {partners[night]}, {day}')
    return partners


def day_file(night_file: str, partners: dict[str, str]) -> str:
    """File of the day image for a night image ``<root>/night/<x>_rgb_anon.png``.

    Args:
        partners: see :func:`day_partners`.

    Raises:
        UserError: the night image has no partner.
    """
    root, _, name = night_file.rpartition('/night/')
    night = f'train/night/{name.removesuffix(SUFFIX)}'
    if night not in partners:
        raise UserError(f'{night_file}: no day image is listed for {night} in the *.csv files')
    return f'{root}/day/{partners[night].partition("day/")[2]}{SUFFIX}'


@DATASETS.register_module()
class DarkZurichDayNightDataset(DarkZurichDataset):
    """Night images of the training set, each with ``day_path``: an image of the place by day.

    Args:
        corresp: folder of the correspondence files below ``data_root``.
        kwargs: arguments of mmseg's ``DarkZurichDataset``.

    Raises:
        UserError: see :func:`day_partners` and :func:`day_file`; or a day image does not exist.
    """

    def __init__(self, corresp: str = 'corresp/train/night', **kwargs) -> None:
        self.corresp = corresp
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        partners = day_partners(Path(self.data_root or '', self.corresp))
        samples = super().load_data_list()
        for sample in samples:
            sample['day_path'] = day_file(sample['img_path'], partners)
        missing = [s['day_path'] for s in samples if not Path(s['day_path']).is_file()]
        if missing:
            raise UserError(f'{len(missing)} day images are missing, first {missing[0]}')
        return samples


@TRANSFORMS.register_module()
class LoadDayPartner(BaseTransform):
    """Load the day image of an uncropped night sample at the sample's size.

    Adds ``day`` (h, w, 3) uint8 BGR. Later transforms flip both images together; ``PackDomain``
    packs it.

    Args:
        scale: see ``LabelFirstCrop``.

    Raises:
        UserError: the two images differ in size.
    """

    def __init__(self, scale: tuple[int, int]) -> None:
        self.scale = tuple(scale)

    def transform(self, results: dict) -> dict:
        results['day'] = resize_image(read_image(results['day_path']), self.scale)
        if results['day'].shape != results['img'].shape:
            raise UserError(
                f'{results["day_path"]} has another shape than {results["img_path"]}: both '
                'images of a pair must have the same size'
            )
        results['seg_fields'].append('day')
        return results
