"""CDDA's data: depth maps, how they follow the image, stored crops and the bank of their counts."""

import tempfile
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
from mmseg.datasets.transforms import RandomFlip

from mmseg_uda.datasets import depth, transforms
from mmseg_uda.datasets.depth import depth_counts
from mmseg_uda.datasets.depth_bank import cut_again
from mmseg_uda.datasets.transforms import LabelFirstCrop

from ..cases import Case
from . import Results, family

NO_LABEL_MAP = {'label_map': None, 'reduce_zero_label': False}


@family('cdda', 'depth_transform')
def loaded(case: Case) -> Results:
    with tempfile.TemporaryDirectory() as folder:
        cv2.imwrite(f'{folder}/depth.png', case.array('in_png'))
        return {'out_depth': depth.read_depth(f'{folder}/depth.png')}


@family('cdda', 'depth_pipeline')
def through_the_pipeline(case: Case) -> Results:
    params = case.params
    with tempfile.TemporaryDirectory() as folder:
        info = _write(folder, case.array('in_image'), case.array('in_label'), None)
        given = patch.object(transforms, 'read_depth', lambda _: case.array('in_depth'))
        results = {}
        height, width = params['resized_hw']
        boxes = {'resized': (0, height, 0, width), 'cut': tuple(params['crop_box_y1y2x1x2'])}
        crop = LabelFirstCrop(params['img_scale_wh'], params['crop_size'])
        for name, box in boxes.items():
            with given:
                results[name] = crop({**info, 'crop_box': box})
    flip = RandomFlip(prob=1.0 if params['flip'] else 0.0)
    packed = transforms.PackDomain()(flip(results['cut']))
    assert packed['label'].shape == tuple(params['pad_size'])
    image = packed['image'].numpy()[::-1].transpose(1, 2, 0).copy()  # channels as in the file
    height, width = results['cut']['img'].shape[:2]
    image[height:], image[:, width:] = 0, 0  # the case pads before normalisation with 0, we do not
    return {
        'int_depth_resized': results['resized']['depth'],
        'out_image': image,
        'out_label': packed['label'],
        'out_depth': packed['depth'],
    }


@family('cdda', 'distribution')
def counted(case: Case) -> Results:
    label = case.array('in_label')
    classes = len(case.outputs['out_counts'].expected)
    return {'out_counts': depth_counts(label, case.array('in_depth'), classes)}


@family('cdda', 'preprocess')
def stored(case: Case) -> Results:
    params = case.params
    raw = [case.array(f'in_raw_{name}') for name in ('rgb', 'label', 'depth_png')]
    crop = LabelFirstCrop(params['resize_scale_wh'], params['crop'])
    with tempfile.TemporaryDirectory() as folder:
        infos = [
            _write(Path(folder, str(number)), rgb[..., ::-1], label, png)
            for number, (rgb, label, png) in enumerate(zip(*raw, strict=True))
        ]
        drawn = zip(
            *(case.array(f'in_{name}') for name in ('source_index', 'crop_box', 'flip')),
            strict=True,
        )
        samples = [cut_again(crop, infos[index], box, flip) for index, box, flip in drawn]
    images = np.stack([s['image'].numpy().transpose(1, 2, 0) for s in samples])
    labels = np.stack([s['label'].numpy() for s in samples])
    depths = np.stack([s['depth'].numpy().astype(np.uint8) for s in samples])
    rows, classes, _ = case.outputs['out_bank'].expected.shape

    def bank(depths: np.ndarray) -> np.ndarray:
        pairs = zip(labels[:rows], depths[:rows], strict=True)
        return np.stack([depth_counts(label, depth, classes) for label, depth in pairs])

    expected = case.outputs['out_saved_depth'].expected
    return {
        'out_saved_rgb': images,
        'noise.out_saved_rgb': _grey_level(images, case.outputs['out_saved_rgb'].expected),
        'out_saved_label': labels,
        'out_saved_depth': depths,
        'noise.out_saved_depth': _grey_level(depths, expected),
        'out_bank': bank(depths),
        'noise.out_bank': np.abs(bank(depths) - bank(expected)),
    }


def _grey_level(actual: np.ndarray, expected: np.ndarray) -> int:
    """1, which the case grants where it affects less than 0.5 % of the pixels; else 0."""
    return int(actual.shape == expected.shape and (actual != expected).mean() < 0.005)


def _write(folder: str | Path, bgr: np.ndarray, label: np.ndarray, png: np.ndarray | None) -> dict:
    """The files of a sample, and what its pipeline gets."""
    Path(folder).mkdir(exist_ok=True)
    pictures = {'img_path': bgr, 'seg_map_path': label, 'depth_path': png}
    info = {key: f'{folder}/{key}.png' for key in pictures}
    for key, picture in pictures.items():
        if picture is not None:
            assert cv2.imwrite(info[key], picture)
    return {**info, **NO_LABEL_MAP, 'seg_fields': []}
