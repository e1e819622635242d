"""CDDA's data: depth maps and their transforms, stored crops and the bank of their counts."""

import tempfile
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np

from mmseg_uda.datasets import transforms
from mmseg_uda.datasets.depth import depth_counts, read_depth
from mmseg_uda.datasets.depth_bank import cut_again
from mmseg_uda.datasets.transforms import LabelFirstCrop, PackDomain, rescale_size
from tests.golden.functions.pipelines import horizontal_flip, write_sample
from tests.golden.registry import Params, Results, Unsupported, golden


@golden('read_depth')
def loaded_depth(params: Params, inputs: Params) -> Results:
    with tempfile.TemporaryDirectory() as folder:
        cv2.imwrite(f'{folder}/depth.png', inputs['png'])
        return {'depth': read_depth(f'{folder}/depth.png')}


@golden('depth_pipeline')
def depth_pipeline(params: Params, inputs: Params) -> Results:
    depth, labels = inputs['depth'], inputs['labels']
    crop = LabelFirstCrop(params['img_scale'], params['crop_size'])
    height, width = params['resized_size']
    assert (width, height) == rescale_size(labels.shape[::-1], tuple(params['img_scale']))
    boxes = {'resized': (0, height, 0, width), 'cut': tuple(params['crop_box'])}
    samples = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(transforms, 'read_depth', lambda _: depth),
    ):
        record = write_sample(
            folder, inputs['image'], seg_map_path=labels, depth_path=np.zeros((1, 1))
        )
        for name, box in boxes.items():
            samples[name] = crop({**record, 'crop_box': box})
    packed = PackDomain()(horizontal_flip(params['flip'])(samples['cut']))
    if list(packed['label'].shape) != params['pad_size']:
        raise Unsupported('ours pads to the crop size, and not to another one')
    image = packed['image'].numpy()[::-1].transpose(1, 2, 0).copy()  # channels as in the file
    height, width = samples['cut']['img'].shape[:2]
    image[height:], image[:, width:] = 0, 0  # as if padded before normalisation
    return {
        'depth_resized': samples['resized']['depth'],
        'image': image,
        'labels': packed['label'],
        'depth': packed['depth'],
    }


@golden('depth_counts')
def counted(params: Params, inputs: Params) -> Results:
    return {'counts': depth_counts(inputs['labels'], inputs['depth'], params['num_classes'])}


@golden('make_bank')
def bank(params: Params, inputs: Params) -> Results:
    crop = LabelFirstCrop(params['scale'], params['crop_size'])
    raw = (inputs[f'raw_{name}'] for name in ('images', 'labels', 'depth'))
    with tempfile.TemporaryDirectory() as folder:
        records = [
            write_sample(Path(folder, str(i)), rgb[..., ::-1], seg_map_path=label, depth_path=depth)
            for i, (rgb, label, depth) in enumerate(zip(*raw, strict=True))
        ]
        samples = [
            cut_again(crop, records[drawn['source']], drawn['crop_box'], drawn['flip'])
            for drawn in params['samples']
        ]
    labels = np.stack([sample['label'].numpy() for sample in samples])
    depths = np.stack([sample['depth'].numpy().astype(np.uint8) for sample in samples])
    pairs = list(zip(labels, depths, strict=True))[: params['bank_rows']]
    return {
        'images': np.stack([sample['image'].numpy().transpose(1, 2, 0) for sample in samples]),
        'labels': labels,
        'depth': depths,
        'bank': np.stack([depth_counts(*pair, params['num_classes']) for pair in pairs]),
    }
