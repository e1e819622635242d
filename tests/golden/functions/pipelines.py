"""From files to samples: resizing, cropping, flipping, normalising, colours."""

import random
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
from mmcv.transforms import RandomGrayscale
from mmseg.datasets.transforms import RandomFlip
from PIL import Image
from torch import Tensor

from mmseg_uda.datasets import transforms
from mmseg_uda.datasets.fixed_size import FixedResize, ScaleCrop, adjust_colour, blur_three
from mmseg_uda.datasets.transforms import LabelFirstCrop, PackDomain, rescale_size
from mmseg_uda.models.data_preprocessor import DomainBatch, UDADataPreProcessor
from tests.golden.registry import Params, Results, Unsupported, golden, only

BGR = dict(mean=(103.939, 116.779, 123.68), std=(1, 1, 1), to_bgr=True)
GREY = dict(prob=1.0, keep_channels=True, channel_weights=(0.114, 0.587, 0.299))


def write_sample(folder: str | Path, bgr: np.ndarray, **maps: np.ndarray) -> dict[str, Any]:
    """Write an image and its maps (``seg_map_path``, ``depth_path``) as PNGs; return its record."""
    Path(folder).mkdir(exist_ok=True)
    record = {'seg_fields': [], 'reduce_zero_label': False, 'label_map': None}
    for name, array in {'img_path': bgr, **maps}.items():
        record[name] = f'{folder}/{name}.png'
        assert cv2.imwrite(record[name], np.ascontiguousarray(array, np.uint8))
    return record


def horizontal_flip(flip: bool) -> RandomFlip:
    return RandomFlip(prob=float(flip), direction='horizontal')


def normalised(sample: dict, **options: Any) -> DomainBatch:
    """A packed sample as the method receives it."""
    domain = {name: value[None] for name, value in sample.items() if isinstance(value, Tensor)}
    return UDADataPreProcessor(**options)({'source': domain}, training=True).source


@golden('rescale_size')
def rescaled_sizes(params: Params, inputs: Params) -> Results:
    pairs = zip(params['sizes'], params['limits'], strict=True)
    return {'new_sizes': [rescale_size(tuple(size), tuple(limits)) for size, limits in pairs]}


@golden('valid_region')
def valid_region(params: Params, inputs: Params) -> Results:
    height, width = params['native_size']
    resized = rescale_size((width, height), tuple(params['scale']))[::-1]
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        record = write_sample(folder, np.zeros((height, width, 3)))
        for name, size in (('resized', resized), ('crop', params['crop_size'])):
            np.random.seed(params['numpy_seed'])
            crop = LabelFirstCrop(params['scale'], size, margins=params['margins'])
            sample = crop({'img_path': record['img_path']})
            if name == 'crop':
                sample = horizontal_flip(params['flip'])(sample)
            results[f'{name}_rows'] = sample['valid'].max(axis=1)
            results[f'{name}_columns'] = sample['valid'].max(axis=0)
    return results


@golden('load_sample')
def loaded_sample(params: Params, inputs: Params) -> Results:
    crop_size, seed = params['crop_size'], params['numpy_seed']
    drawn = []

    def recorded_box(*arguments: Any) -> tuple:
        drawn.append(draw_box(*arguments))
        return drawn[-1]

    draw_box = transforms._draw_box
    crop = LabelFirstCrop(params['img_scale'], crop_size, params['cat_max_ratio'])
    np.random.seed(seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(transforms, '_draw_box', recorded_box),
    ):
        sample = crop(write_sample(folder, inputs['image'], seg_map_path=inputs['labels']))
    if crop_size is None:  # only one box; the published code makes no random draw for it
        drawn.clear()
        np.random.seed(seed)
    flip = bool(np.random.rand() < params['flip_prob'])
    source = normalised(PackDomain()(horizontal_flip(flip)(sample)))
    return {
        'flip': flip,
        'boxes_drawn': drawn,
        'image': source.images[0],
        'labels': source.labels[0],
    }


@golden('resize_normalise')
def resized(params: Params, inputs: Params) -> Results:
    height, width = params['size']
    with tempfile.TemporaryDirectory() as folder:
        bgr = inputs['image'][..., ::-1]
        record = write_sample(folder, bgr, seg_map_path=inputs['labels'])
        loaded = FixedResize((width, height))(record)
    sample = PackDomain()(dict(loaded))
    return {
        'image': loaded['img'][..., ::-1],
        'labels': loaded['gt_seg_map'],
        'rgb': normalised(sample).images[0],
        'bgr': normalised(sample, **BGR).images[0],
    }


@golden('scale_crop_flip')
def scaled_and_cropped(params: Params, inputs: Params) -> Results:
    only(params, image_fill=0, label_fill=255)
    crop = ScaleCrop(params['scales'], params['crop_size'])
    samples = []
    with tempfile.TemporaryDirectory() as folder:
        bgr = inputs['image'][..., ::-1]
        record = write_sample(folder, bgr, seg_map_path=inputs['labels'])
        for seed in params['python_seeds']:
            random.seed(seed)
            sample = crop(dict(record))
            samples.append(horizontal_flip(random.random() < 0.5)(sample))
    return {
        'images': np.stack([sample['img'][..., ::-1] for sample in samples]),
        'labels': np.stack([sample['gt_seg_map'] for sample in samples]),
    }


@golden('colour_operations')
def colour_operations(params: Params, inputs: Params) -> Results:
    calls = [(listed['operation'], listed['amount']) for listed in params['operations']]
    return {'images': [change_colours(inputs['image'], *call) for call in calls]}


def change_colours(rgb: np.ndarray, operation: str, amount: float | None) -> np.ndarray:
    if operation == 'grey':
        return RandomGrayscale(**GREY)({'img': rgb[..., ::-1]})['img']
    if operation == 'blur':
        return blur_three(rgb, amount)
    if operation in ('brightness', 'contrast', 'saturation', 'hue'):
        return np.asarray(adjust_colour(Image.fromarray(rgb), operation, amount))
    raise Unsupported(f'there is no colour operation {operation!r}')
