"""SDCA's passes over data: pseudo-labels of a data set, evaluation of a folder of checkpoints."""

import csv
import io
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from mmseg.registry import MODELS
from PIL import Image

from mmseg_uda.cli import test
from mmseg_uda.datasets import labels as tables
from mmseg_uda.evaluation.views import Views, input_scores, mean_probabilities
from mmseg_uda.preparation.pseudo_labels import (
    ConfidenceHistogram,
    confidence,
    generate_pseudo_labels,
    select,
)
from tests.golden.functions.raw_labels import PUBLISHED_SKY, SKY, lookup
from tests.golden.inputs import Weights
from tests.golden.networks import load, sdca_config, sdca_name
from tests.golden.registry import Params, Results, golden, tensor


@golden('quantile_pseudo_labels')
def quantile_pseudo_labels(params: Params, inputs: Params) -> Results:
    histogram = ConfidenceHistogram(params['num_classes'])
    logits = [tensor(array) for array in inputs['logits']]
    sure = [confidence(image, tuple(image.shape[2:]), True) for image in logits]
    for pixels in sure:
        histogram.add(*pixels)
    thresholds = histogram.thresholds(params['quantile'], params['cap'])
    return {
        'thresholds': thresholds,
        'counts': histogram.counts.sum(1),
        'labels': torch.cat([select(*pixels, thresholds) for pixels in sure]),
    }


@golden('view_inference')
@torch.no_grad()
def view_inference(params: Params, inputs: Params) -> Results:
    network = MODELS.build(network_config(params)).eval()
    load(network, inputs['weights'], sdca_name)
    images, size = tensor(inputs['image']), tuple(params['label_size'])
    results = {}
    for name, views in {'plain': Views(), 'flip': Views(flip=True)}.items():
        scores = input_scores(network, images, [size] * len(images), views)
        results[name] = torch.stack(mean_probabilities(network, scores))
    return results


@golden('make_pseudo_labels')
def make_pseudo_labels(params: Params, inputs: Params) -> Results:
    with TemporaryDirectory() as name:
        folder = Path(name)
        for i, image in enumerate(inputs['images']):
            write(folder / f'leftImg8bit/train/city/{i:03}_leftImg8bit.png', image[..., ::-1])
        save_checkpoint(folder / 'weights.pth', params, inputs['weights'])
        config = write_config(folder, params)
        generate_pseudo_labels(config, folder / 'weights.pth', name, cap=params['cap'])
        files = sorted(folder.glob('soft_labels/*/*_leftImg8bit.png'))
        images = [Image.open(path) for path in files]
        assert {image.mode for image in images} == {params['png_mode']}
        return {
            'thresholds': np.load(folder / 'thres_const.npy'),
            'labels': np.stack([np.asarray(image) for image in images]).astype(np.int64),
        }


@golden('test_folder')
def tested_folder(params: Params, inputs: Params) -> Results:
    """As in the published table: classes without pixels count as 0, values are fractions."""
    with TemporaryDirectory() as name:
        folder, checkpoints = Path(name), Path(name, 'checkpoints')
        checkpoints.mkdir()
        pairs = zip(inputs['images'], inputs['labels'], strict=True)
        for i, (image, raw) in enumerate(pairs):
            write(folder / f'leftImg8bit/val/city/{i:03}_leftImg8bit.png', image[..., ::-1])
            train_ids = lookup(tables.CITYSCAPES_TO_TRAIN, raw).astype(np.uint8)
            write(folder / f'gtFine/val/city/{i:03}_gtFine_labelTrainIds.png', train_ids)
        for listed in params['checkpoints']:
            path = checkpoints / listed['file']
            save_checkpoint(path, params, Weights(listed['seed']), listed['prefix'])
        out = folder / 'out'
        arguments = ['--eval', 'mIoU', '--work-dir', str(out), '--show-dir', str(out / 'pictures')]
        with redirect_stdout(io.StringIO()):
            config = write_config(folder, params)
            test.main([config, str(checkpoints), *arguments, '--opacity', '1'])
        lines = list(csv.reader((out / params['csv_name']).read_text().splitlines()))
        rows = [[float(cell or 0) for cell in line] for line in lines[1:-1]]
        picture = Image.open(sorted((out / 'pictures').rglob('*.png'))[0]).convert('RGB')
        colours = np.array(picture)
        best = (out / 'model_best.pth').read_bytes()
        iterations = (int(row[0]) for row in rows)
        best_iter = next(
            iteration
            for iteration, path in zip(iterations, sorted(checkpoints.iterdir()), strict=True)
            if path.read_bytes() == best
        )
    colours[(colours == tables.PALETTE[SKY]).all(-1)] = PUBLISHED_SKY
    return {
        'table': np.array([[row[0], np.mean(row[2:]), *row[2:]] for row in rows]),
        'best_iter': best_iter,
        'picture': colours,
    }


def network_config(params: Params) -> dict:
    return sdca_config(params['network'], params['num_classes'])


def save_checkpoint(path: Path, params: Params, weights: Weights, prefix: str = '') -> None:
    """A published checkpoint: backbone and classifier under their published names."""
    network = MODELS.build(network_config(params))
    load(network, weights, sdca_name)
    halves: dict[str, dict] = {'feature_extractor': {}, 'classifier': {}}
    for name, value in network.state_dict().items():
        half = 'feature_extractor' if name.startswith('backbone.') else 'classifier'
        halves[half][prefix + sdca_name(name)] = value
    torch.save(halves, path)


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def write_config(folder: Path, params: Params) -> str:
    """Config of the case's network and of the folder of its images."""
    resize = dict(
        type='Resize',
        scale=tuple(params['input_size']),
        keep_ratio=False,
        backend='pillow',
        interpolation='bicubic',
    )
    pipeline = [dict(type='LoadImageFromFile'), resize]
    pipeline += [dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
    data = dict(type='CityscapesDataset', data_root=str(folder))
    prefix = dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val')
    test_set = dict(**data, data_prefix=prefix, pipeline=pipeline)
    target = dict(**data, data_prefix=dict(img_path='leftImg8bit/train'), pipeline=[])
    loading = dict(batch_size=1, num_workers=0)
    in_order = dict(type='DefaultSampler', shuffle=False)
    entries = dict(
        default_scope='mmseg',
        model=dict(type='SourceOnly', segmentor=network_config(params)),
        train_dataloader=dict(
            batch_size=1, sampler=dict(type='PositionSampler'), dataset=dict(target=target)
        ),
        test_dataloader=dict(**loading, sampler=in_order, dataset=test_set),
        test_evaluator=dict(type='SegmentationMetric'),
    )
    path = folder / 'config.py'
    path.write_text('\n'.join(f'{name} = {value!r}' for name, value in entries.items()))
    return str(path)
