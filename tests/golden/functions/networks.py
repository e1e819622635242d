"""Encoders, heads and whole segmentors in evaluation, and inference."""

import torch
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_uda.models.losses import upscale
from tests.golden.networks import build, encoder_config, head_config, layout, segmentor_config
from tests.golden.registry import Params, Results, golden, only, tensor

ENCODER_OPTIONS = 'drop_path_rate', 'strides', 'dilations', 'contract_dilation'
NO_DROPS = {'dropout_ratio': 0, 'drop_path_rate': 0}


@golden('encoder')
@torch.no_grad()
def encoder(params: Params, inputs: Params) -> Results:
    config, _ = encoder_config(params['encoder'], **params.given(*ENCODER_OPTIONS))
    return {'stages': build(config, inputs['weights'])(tensor(inputs['image']))}


@golden('decode_head')
@torch.no_grad()
def decode_head(params: Params, inputs: Params) -> Results:
    features = [tensor(level) for level in inputs['features']]
    head = build(head_config(params, [f.shape[1] for f in features]), inputs['weights'])
    results = {'logits': head(features), 'state_dict': layout(head)}
    if params['train']:
        head.train()
        head.dropout = None
        results['logits_train'] = head(features)
        results['after_train'] = dict(head.named_buffers())
    return results


@golden('segmentor')
@torch.no_grad()
def segmentor(params: Params, inputs: Params) -> Results:
    network, images = build(segmentor_config(params), inputs['weights']), tensor(inputs['image'])
    return {
        'head_logits': network.decode(network.features(images)),
        'logits': network.encode_decode(images),
    }


@golden('inference')
def inference(params: Params, inputs: Params) -> Results:
    config = segmentor_config(params)
    images, flip = tensor(inputs['image']), params['flip']
    record = dict(
        img_shape=tuple(images.shape[2:]),
        ori_shape=tuple(params['output_size']),
        flip=flip is not None,
        flip_direction=flip,
    )
    results = {}
    for mode, test_cfg in (('whole', dict(mode='whole')), ('slide', slide(params))):
        network = build(config | dict(test_cfg=test_cfg), inputs['weights'])
        logits, probabilities, labels = predicted(network, images, record)
        largest, second = probabilities.topk(2, dim=1).values.unbind(1)
        figures = dict(
            logits=logits, softmax=probabilities, pred=labels, pred_margin=largest - second
        )
        results |= {f'{mode}.{name}': value for name, value in figures.items()}
    return results


def slide(params: Params) -> dict:
    """Settings of inference on sliding windows."""
    windows = dict(crop_size=params['crop_size'], stride=params['stride'])
    return dict(mode='slide', batched_slide=params['batched'], **windows)


@torch.no_grad()
def predicted(network: nn.Module, images: Tensor, record: dict) -> tuple[Tensor, Tensor, Tensor]:
    """Logits at the network's input size; probabilities and labels at the size of the record."""
    logits = network.inference(images, [record] * len(images))
    samples = network.predict(images, [SegDataSample(metainfo=record) for _ in images])
    probabilities = torch.stack([sample.seg_logits.data for sample in samples]).softmax(1)
    labels = torch.cat([sample.pred_sem_seg.data for sample in samples])
    return logits, probabilities, labels


@golden('projection_head')
@torch.no_grad()
def projection_head(params: Params, inputs: Params) -> Results:
    only(params, kernel_size=1)
    levels = {
        int(name.removeprefix('level')): tensor(inputs[name])
        for name in inputs
        if name.startswith('level')
    }
    features = [levels.get(number) for number in range(max(levels) + 1)]
    options = 'num_convs', 'in_channels', 'in_index', 'input_transform', 'channels'
    head = dict(type='ProjectionHead', **{name: params[name] for name in options})
    head = build(head, inputs['weights']).train(params['train'])
    return {'state_dict': layout(head), 'embeddings': head(features)}


@golden('segmentor_with_projection')
@torch.no_grad()
def segmentor_with_projection(params: Params, inputs: Params) -> Results:
    config = segmentor_config(params)
    drop_nothing(config)
    network = build(config, inputs['weights']).train(params['train'])
    images = tensor(inputs['image'])
    features = network.features(images)
    logits, (embeddings,) = network.decode(features), network.project(features)
    full = upscale(logits, images.shape[2:])
    return {
        'features': features,
        'feature_shapes': [list(feature.shape) for feature in features],
        'feature_statistics': [
            torch.stack((feature.mean(), feature.std(), feature.abs().max()))
            for feature in features
        ],
        'logits': logits,
        'logits_shape': list(logits.shape),
        'embeddings': embeddings,
        'embeddings_shape': list(embeddings.shape),
        'full_logits': full,
        'full_labels': full.argmax(dim=1),
    }


def drop_nothing(config: dict) -> None:
    """Turn off dropout and drop path in the config of a segmentor."""
    if config['backbone']['type'] == 'MiT':
        config['backbone']['drop_path_rate'] = 0
        config['decode_head']['dropout_ratio'] = 0
