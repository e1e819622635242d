"""HRDA: detail boxes, both scales with their losses, and inference."""

import re

import numpy as np
import torch
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_uda.models.hrda import random_detail_box
from mmseg_uda.models.segmentors import Segmentor

from ..cases import Case
from ..networks import build, head_settings, hrda_config
from . import Results, family
from .functions import label_maps, tensor


@family('daformer', 'hrda_crop_box')
def detail_boxes(case: Case) -> Results:
    params = case.params
    rng = np.random.RandomState(params['numpy_seed'])
    draw = params['image'], params['crop'], params.get('divisible', 8), rng.randint
    return {'boxes': [random_detail_box(*draw) for _ in range(params['draws'])]}


@family('daformer', 'hrda')
def training_forward(case: Case) -> Results:
    """Both scales with a given detail box, the losses, and inference on the whole image."""
    network = hrda_network(case)
    images, labels = tensor(case.input('image')), label_maps(case.input('labels'))
    weight = tensor(case.input('weights of the loss', 'weights'))
    box = tuple(case.params['hr_crop_box'])
    with torch.no_grad():
        results = {f'eval_{name}': value for name, value in scales(network, images, box).items()}
        for name, factor in (('unweighted', None), ('weighted', weight)):
            supervision = network.supervise(images, labels, factor, detail_box=box)
            losses = supervision.losses
            results[f'losses_{name}'] = [float(losses[n]) for n in case.params['loss_names']]
        results['acc'] = [float(losses[n]) for n in case.params['acc_names']]
        for number, view in enumerate(supervision.views):
            results[f'feature_last_level_{number}'] = view.features[-1]
        results['encode_decode'] = network.logits(images)
        results['encode_decode_quarter'] = network.coarse_logits(images)
        network.train()
        trained = scales(network, images, box)
    return results | {f'train_{name}': value for name, value in trained.items()}


def scales(network: nn.Module, images: torch.Tensor, box: tuple) -> Results:
    """What the training forward computes on the way to its losses."""
    context = network.features(images)
    detail = Segmentor.features(network, network.detail_images(images, box))
    lr, hr = network.decode(context), network.decode(detail)
    attention = network.decode_head.attention(context, lr)
    fused, lr = network.fuse(lr, hr, attention, images.shape[2:], box)
    return dict(attention=attention, fused=fused, lr=lr, hr=hr)


@family('daformer', 'hrda_slide')
def sliding(case: Case) -> Results:
    params = case.params
    slide = dict(mode='slide', crop_size=params['crop_size'], stride=params['stride'])
    slide['batched_slide'] = params.get('batched', True)
    network = hrda_network(case, test_cfg=slide)
    images = tensor(case.input('image'))
    size = tuple(images.shape[2:])
    record = dict(img_shape=size, ori_shape=tuple(params.get('ori_shape') or size))
    with torch.no_grad():
        logits = network.inference(images, [record] * len(images))
        samples = network.predict(images, [SegDataSample(metainfo=record) for _ in images])
    predicted = torch.stack([sample.seg_logits.data for sample in samples])
    return {'logits': logits, 'softmax': predicted.softmax(1)}


@family('daformer', 'hrda_outputs')
def outputs(case: Case) -> Results:
    images = tensor(case.input('image'))
    results = {}
    with torch.no_grad():
        for output in ('fused', 'LR', 'HR'):
            logits = hrda_network(case, output=output).logits(images)
            results[f'softmax_{output}'] = logits.softmax(1)
        results['attention_map'] = hrda_network(case, output='ATT').logits(images)
    return results


def hrda_network(case: Case, **options) -> nn.Module:
    """The segmentor of a case, without dropout and drop path, in evaluation mode."""
    encoder = case.params.get('backbone') or re.search(r'mit_?b\d|$', case.text)[0] or 'mit_b0'
    settings = dict(dropout_ratio=0) | head_settings(case)
    config = hrda_config(f'daformer_{encoder.replace("_", "")}', case.params, **settings)
    config['backbone']['drop_path_rate'] = 0
    return build(config | options, case)
