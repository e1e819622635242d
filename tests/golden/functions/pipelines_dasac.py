"""Data pipelines of DA-SAC, as our configs describe them, with the random draws of a case."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from mmcv.transforms import RandomApply
from mmcv.transforms.base import BaseTransform
from mmengine.config import Config
from mmengine.dataset import Compose
from mmseg.datasets.transforms import RandomFlip
from torch.utils.data import default_collate

from mmseg_uda.datasets.batch import DomainBatch
from mmseg_uda.datasets.fixed_size import PILBlur, PILColorJitter, PILGrayscale
from mmseg_uda.datasets.padded_crop import LoadScaled, PaddedCrop
from mmseg_uda.datasets.transforms import PackDomain
from mmseg_uda.datasets.views import MakeViews, View, view_geometry
from mmseg_uda.models.data_preprocessor import UDADataPreProcessor
from tests.golden.functions.pipelines import write_sample
from tests.golden.networks import CONFIGS
from tests.golden.registry import Params, Results, Unsupported, golden, tensor

# Transforms of mmcv draw by these functions.
OF_NUMPY = {RandomFlip: (np.random, 'choice'), RandomApply: (np.random, 'rand')}
STAGES = {1: 'dasac_abn', 3: 'dasac'}  # stage -> beginning of our config's name


def configured(name: str, domain: str, **changes: Any) -> list[dict]:
    """A pipeline of our config without its last step; ``changes`` replace options of its steps."""
    config = Config.fromfile(CONFIGS / '_base_' / 'datasets' / f'{name}.py')
    pipeline = config.train_dataloader.dataset[domain].pipeline
    for step in pipeline[:-1]:
        step.update({option: value for option, value in changes.items() if option in step})
    assert pipeline[-1].type == 'PackDomain'
    return [step.to_dict() for step in pipeline[:-1]]


def run(pipeline: list[dict], draws: Mapping[type, list], record: dict[str, Any]) -> dict[str, Any]:
    """Run a pipeline whose transforms of each class draw the given values, one after the other.

    Raises:
        Unsupported: the pipeline does not make as many draws.
    """
    with ExitStack() as stack:
        drawn = {}
        for kind, values in draws.items():
            mocked = patch.object(*OF_NUMPY.get(kind, (kind, 'draw')), side_effect=list(values))
            drawn[kind] = stack.enter_context(mocked)
        results = Compose(pipeline)(record)
    for kind, mock in drawn.items():
        if mock.call_count != len(draws[kind]):
            raise Unsupported(
                f'{len(draws[kind])} draws for {kind.__name__}, ours makes {mock.call_count}'
            )
    return results


def direction(flip: bool) -> str | None:
    return 'horizontal' if flip else None


def operations(jitters: list[dict | None]) -> dict[type[BaseTransform], list]:
    """Draws of the colour jitter that is applied with a probability, for each image."""
    amounts = [[(name, jitter[name]) for name in jitter['order']] for jitter in jitters if jitter]
    applied = [1.0 if jitter is None else 0.0 for jitter in jitters]  # of U[0, 1)
    return {RandomApply: applied, PILColorJitter: amounts}


def loaded(domain: str, results: dict[str, Any], **options: Any) -> DomainBatch:
    """A sample as the method receives it."""
    sample = default_collate([PackDomain()(dict(results))])
    batch = UDADataPreProcessor(**options)({'source': sample, domain: sample}, training=True)
    return getattr(batch, domain)


def records(inputs: Params) -> Iterator[dict[str, Any]]:
    """The written samples of a case, one after the other."""
    for image, label in zip(inputs['images'], inputs['labels'], strict=True):
        with tempfile.TemporaryDirectory() as folder:
            yield write_sample(folder, image[..., ::-1], seg_map_path=label)


@golden('source_pipeline')
def source_pipeline(params: Params, inputs: Params) -> Results:
    if params['stage'] not in STAGES:
        raise Unsupported(f'stage {params["stage"]!r} has no source images')
    first, coloured = params['first_resize'], any(sample['jitter'] for sample in params['samples'])
    stage = STAGES[1 if coloured else params['stage']]  # they differ by the jitter alone
    name = f'{stage}_{"synthia" if first is None else "gta"}'
    pipeline = configured(name, 'source', size=first, crop_size=params['crop_size'])
    statistics = {name: [255 * value for value in params[name]] for name in ('mean', 'std')}
    images, labels = [], []
    for record, sample in zip(records(inputs), params['samples'], strict=True):
        draws = {
            LoadScaled: [sample['scale']],
            RandomFlip: [direction(sample['flip'])],
            PaddedCrop: [tuple(sample['crop_corner'])],
        }
        if stage == STAGES[1]:
            draws |= operations([sample['jitter']])
        batch = loaded('source', run(pipeline, draws, record), source=statistics)
        images.append(batch.images[0])
        labels.append(batch.labels[0])
    return {'images': images, 'labels': labels}


@golden('target_pipeline')
def target_pipeline(params: Params, inputs: Params) -> Results:
    size, number = tuple(params['crop_size']), params['views']
    pipeline = configured('dasac_gta', 'target', size=size[::-1], crop_size=size, number=number)
    results: dict[str, list] = {
        name: [] for name in ('noisy', 'clean', 'labels', 'affine', 'inverse')
    }
    for record, sample in zip(records(inputs), params['samples'], strict=True):
        views = list(map(view_of, [size] * number, sample['flip_each'], sample['zoom']))
        draws = {
            LoadScaled: [sample['scale']],
            PaddedCrop: [tuple(sample['crop_corner'])],
            RandomFlip: [direction(sample['flip_all'])],
            MakeViews: views,
            PILBlur: sample['blur_radius'],
            PILGrayscale: sample['grey'],
        }
        sample = run(pipeline, draws | operations(sample['jitter']), record)
        batch = loaded('target', sample)
        for name in ('noisy', 'clean'):
            results[name].append(batch.views[name].images[0])
        label = sample['gt_seg_map']
        results['labels'].append(np.stack([view.cut(label, 'nearest') for view in views]))
        affine = batch.views['clean'].geometry[0]
        results['affine'].append(affine)
        results['inverse'].append(inverse(affine.double(), size))
    return results


def view_of(size: tuple[int, int], flip: bool, zoom: dict | None) -> View:
    if zoom is None:
        return View(flip, 0, 0, *size, zoom=1.0)
    return View(flip, zoom['top'], zoom['left'], zoom['h'], zoom['w'], zoom['s'])


@golden('view_transforms')
def view_transforms(params: Params, inputs: Params) -> Results:
    size, affine = params['view_size'], []
    for dy, dx, angle, magnification, flip in inputs['transforms'].astype(np.float64).tolist():
        if angle:
            raise Unsupported(f'angle is {angle!r}, our views are not rotated')
        affine.append(view_geometry(dy, dx, magnification, flip, size))
    affine = tensor(np.stack(affine))
    return {'affine': affine, 'inverse': inverse(affine, size)}


def inverse(affine: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The published inverses (T, 2, 3): where a side is odd, its half is not rounded there."""
    half = torch.tensor([[size[1] // 2 / (size[1] / 2)], [size[0] // 2 / (size[0] / 2)]])
    last = torch.tensor([0.0, 0.0, 1.0], dtype=affine.dtype).expand(len(affine), 1, 3)
    back = torch.linalg.inv(torch.cat([affine, last], 1))[:, :2]
    return torch.cat([back[..., :2], back[..., 2:] * half], 2)


@golden('val_pipeline')
def validation_pipeline(params: Params, inputs: Params) -> Results:
    """The steps that our config of the target describes for the selection of snapshots."""
    size = tuple(params['crop_size'])[::-1]
    steps = {
        'crop': dict(type='CenterCrop', crop_size=size),
        'scale': dict(type='Resize', scale=size, keep_ratio=False, backend='pillow'),
    }
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        record = write_sample(folder, inputs['image'][..., ::-1], seg_map_path=inputs['labels'])
        load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
        for name, step in steps.items():
            sample = Compose([*load, step, dict(type='PackSegInputs')])(dict(record, seg_fields=[]))
            data = {'inputs': [sample['inputs']], 'data_samples': [sample['data_samples']]}
            results[f'{name}.image'] = UDADataPreProcessor()(data)['inputs'][0]
            results[f'{name}.labels'] = sample['data_samples'].gt_sem_seg.data[0]
    return results
