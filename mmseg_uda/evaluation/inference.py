"""Prediction from a config and a checkpoint, without the parts that only training needs."""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from os import PathLike

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.dist import get_world_size, is_main_process
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.models import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch.utils.data import DataLoader
from tqdm import tqdm

from mmseg_uda.compat.checkpoints import load_segmentor_weights
from mmseg_uda.datasets.image_files import read_image
from mmseg_uda.datasets.segmentation import (
    NamedErrors,
    build_dataset,
    dataset_metainfo,
    pipeline_without,
)
from mmseg_uda.errors import BUILD_ERRORS, UserError, dead_loader_workers
from mmseg_uda.evaluation.views import ONE_VIEW, Views, predict_views
from mmseg_uda.models.losses import upscale
from mmseg_uda.models.precision import set_precision


def build_segmentor(
    config: Config, checkpoint: str, network: str = 'student', device: str = 'cpu'
) -> BaseSegmentor:
    """Build the segmentor of a method's config with a checkpoint's weights, in evaluation mode.

    Args:
        network: ``student`` or ``teacher``.

    Raises:
        UserError: the config has no segmentor, the checkpoint is unreadable or does not fit, or the
            device cannot be used.
    """
    if 'segmentor' not in config.get('model', {}):
        raise UserError(f'config {config.filename} has no model.segmentor')
    precision = set_precision(config)
    if str(device).startswith('cuda'):
        print_log(f'precision of float32: {precision}', logger='current')
    init_default_scope(config.get('default_scope', 'mmseg'))
    options = copy.deepcopy(config.model.segmentor)
    # the default of UDAMethod
    preprocessor = config.model.get('data_preprocessor') or dict(type='UDADataPreProcessor')
    options.data_preprocessor = preprocessor
    options.pretrained = None  # the checkpoint holds all weights
    try:
        segmentor = MODELS.build(options)
    except BUILD_ERRORS as error:
        raise UserError(f'config {config.filename}: model.segmentor: {error}') from error
    load_segmentor_weights(segmentor, checkpoint, network=network)
    try:
        return segmentor.to(device).eval()
    except (RuntimeError, AssertionError) as error:
        raise UserError(f'device {device} cannot be used: {error}') from error


def test_metainfo(config: Config) -> dict:
    """``classes`` and ``palette`` of a config's test data; its files need not exist.

    Raises:
        UserError: the data set cannot be built or has no list of classes.
    """
    init_default_scope(config.get('default_scope', 'mmseg'))
    try:
        return dataset_metainfo(config.test_dataloader.dataset)
    except BUILD_ERRORS as error:
        raise UserError(f'config {config.filename}: test_dataloader: {error}') from error


def build_test_loader(config: Config, labels: bool) -> DataLoader:
    """Build the loader of a config's test data.

    Args:
        labels: load labels; all must exist.

    Raises:
        UserError: a folder is wrong, there are no images, or a label is missing.
    """
    init_default_scope(config.get('default_scope', 'mmseg'))
    options = copy.deepcopy(config.test_dataloader)
    options.persistent_workers = False  # one pass
    if not labels:
        options.dataset.data_prefix.pop('seg_map_path', None)
        options.dataset.pipeline = pipeline_without(options.dataset.pipeline, 'LoadAnnotations')
    elif 'seg_map_path' not in options.dataset.data_prefix:
        raise UserError(
            f'config {config.filename}: test_dataloader.dataset.data_prefix has no seg_map_path, '
            'so there are no labels to evaluate against; export predictions with --format-only'
        )
    try:
        options.dataset = NamedErrors(build_dataset(options.dataset))
        return Runner.build_dataloader(options, seed=0)
    except BUILD_ERRORS as error:
        raise UserError(f'config {config.filename}: test_dataloader: {error}') from error


def predict(
    segmentor: BaseSegmentor, loader: DataLoader, views: Views = ONE_VIEW
) -> Iterator[list[SegDataSample]]:
    """Predict batch by batch, with a progress bar (images per second, remaining time)."""
    if views == ONE_VIEW:
        return _over(loader, segmentor.test_step)
    return _over(loader, partial(predict_views, segmentor, views=views))


def attention_maps(
    segmentor: BaseSegmentor, loader: DataLoader
) -> Iterator[list[tuple[str, np.ndarray]]]:
    """Yield (image path, attention map) of an HRDA network with ``output='ATT'``, by batch.

    A map is (H, W) uint8 at the image's size: 255 where only the detail crop counts.
    """

    def maps(batch: dict) -> list[tuple[str, np.ndarray]]:
        data = segmentor.data_preprocessor(batch, False)
        records = [sample.metainfo for sample in data['data_samples']]
        shares = segmentor.inference(data['inputs'], records)
        resized = (
            upscale(share[None], record['ori_shape'])
            for share, record in zip(shares, records, strict=True)
        )
        values = ((255 * share[0, 0]).round().byte().cpu().numpy() for share in resized)
        return [(record['img_path'], v) for record, v in zip(records, values, strict=True)]

    return _over(loader, maps)


@torch.no_grad()
def _over(loader: DataLoader, compute: Callable[[dict], list]) -> Iterator[list]:
    """Yield ``compute(batch)``, a list with an entry per image, with a progress bar."""
    total = -(-len(loader.dataset) // get_world_size())
    bar = tqdm(total=total, unit='img', disable=not is_main_process())
    with bar, dead_loader_workers('run the command again'):
        try:
            for batch in loader:
                results = compute(batch)
                yield results
                bar.update(len(results))
        except UserError as error:  # from a worker process, its message includes a traceback
            message = str(error).strip().split('\n')[-1]
            raise UserError(message.split('UserError: ')[-1]) from error


def image_predictor(
    segmentor: BaseSegmentor, config: Config
) -> Callable[[str | PathLike | np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Make a function that predicts one image with the config's test pipeline.

    The function takes a file or an array (H, W, 3) uint8 RGB of any size. It returns the image
    (H, W, 3) uint8 BGR and its train ids (H, W) uint8. It raises a UserError for a damaged file, an
    array of another shape or type, and an image that is too large or too small for the network.
    """
    steps = config.test_dataloader.dataset.pipeline
    pipeline = Compose(pipeline_without(steps, 'LoadImageFromFile', 'LoadAnnotations'))

    @torch.no_grad()
    def predict_image(source: str | PathLike | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        image, name = _bgr(source)
        height, width = image.shape[:2]
        try:
            sample = pipeline(dict(img=image, img_shape=(height, width), ori_shape=(height, width)))
            batch = {name: [value] for name, value in sample.items()}
            return image, train_ids(segmentor.test_step(batch)[0])
        except UserError as error:
            raise UserError(f'{name}: {error}') from error
        except (RuntimeError, cv2.error) as error:
            reason = str(error).strip().split('\n')[0]
            raise UserError(f'{name}: fails with {height} x {width} pixels: {reason}') from error

    return predict_image


def _bgr(source: str | PathLike | np.ndarray) -> tuple[np.ndarray, str]:
    """Image (H, W, 3) uint8 BGR of a file or an RGB array, and its name in messages."""
    if not isinstance(source, np.ndarray):
        return read_image(str(source)), str(source)
    if source.ndim != 3 or source.shape[2] != 3 or source.dtype != np.uint8:
        raise UserError(
            f'an image is an array (H, W, 3) of uint8, RGB; this is {source.shape}, {source.dtype}'
        )
    return np.ascontiguousarray(source[..., ::-1]), f'an array of shape {source.shape}'


def train_ids(sample: SegDataSample) -> np.ndarray:
    """Predicted train ids (H, W) uint8 of a sample, on the host."""
    return sample.pred_sem_seg.data[0].byte().cpu().numpy()
