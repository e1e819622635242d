"""Whole segmentors: logits, and inference on whole images and sliding windows."""

import re

import torch
from mmseg.structures import SegDataSample

from ..cases import Case
from ..networks import SEGMENTOR, build, head_settings, segmentor_config
from . import Results, family


@family('daformer', SEGMENTOR)
def logits(case: Case) -> Results:
    network = build(segmentor_config(case.name, **head_settings(case)), case)
    images = torch.as_tensor(case.input('image'))
    with torch.no_grad():
        head_logits = network.decode(network.features(images))
        return {'head_logits': head_logits, 'encode_decode': network.logits(images)}


@family('daformer', 'slide')
def inference(case: Case) -> Results:
    params = case.params
    encoder = params.get('backbone') or re.search(r'mit_?b\d', case.text)[0]
    network = f'daformer_{encoder.replace("_", "")}'
    config = segmentor_config(network, **head_settings(case))
    slide = dict(mode='slide', crop_size=params['crop_size'], stride=params['stride'])
    slide['batched_slide'] = params.get('batched', params.get('batched_slide', False))
    images = torch.as_tensor(case.input('image'))
    size = tuple(images.shape[2:])
    record = dict(
        img_shape=size,
        ori_shape=tuple(params.get('ori_shape') or size),
        flip=params.get('flip', False),
        flip_direction=params.get('flip_direction', 'horizontal'),
    )
    results = {}
    for mode, test_cfg in (('whole', dict(mode='whole')), ('slide', slide)):
        network = build(config | dict(test_cfg=test_cfg), case)
        with torch.no_grad():
            results[f'{mode}_logits'] = network.inference(images, [record] * len(images))
            samples = [SegDataSample(metainfo=record) for _ in images]
            samples = network.predict(images, samples)
        probabilities = torch.stack([sample.seg_logits.data for sample in samples]).softmax(1)
        largest, second = probabilities.topk(2, dim=1).values.unbind(1)
        results[f'{mode}_softmax'] = probabilities
        results[f'{mode}_pred'] = torch.cat([sample.pred_sem_seg.data for sample in samples])
        results[f'{mode}_pred_margin'] = largest - second
    return results
