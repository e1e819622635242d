"""HRDA: detail crops, both scales with their losses, and inference."""

import numpy as np
import torch
from torch import Tensor, nn

from mmseg_uda.models.hrda import random_detail_box
from mmseg_uda.models.segmentors import Segmentor
from tests.golden.functions.networks import predicted, slide
from tests.golden.inputs import Weights
from tests.golden.networks import build, hrda_config, segmentor_config
from tests.golden.registry import Params, Results, golden, label_maps, tensor


@golden('detail_boxes')
def detail_boxes(params: Params, inputs: Params) -> Results:
    rng = np.random.RandomState(params['numpy_seed'])
    draw = params['image_size'], params['crop_size'], params['divisor'], rng.randint
    return {'boxes': [random_detail_box(*draw) for _ in range(params['draws'])]}


def hrda_network(params: Params, weights: Weights, **settings) -> nn.Module:
    """HRDA with DAFormer's network, without dropout and drop path."""
    names = 'encoder', 'num_classes', 'channels', 'embed_dims'
    options = {name: params[name] for name in names}
    options |= dict(head='daformer', fusion='sep_aspp', dropout_ratio=0, drop_path_rate=0)
    return build(hrda_config(segmentor_config(Params(options)), params, **settings), weights)


@golden('hrda_forward')
@torch.no_grad()
def training_forward(params: Params, inputs: Params) -> Results:
    network = hrda_network(params, inputs['weights'])
    images, labels = tensor(inputs['image']), label_maps(inputs['labels'])
    box = tuple(params['detail_box'])
    weights = {'unweighted': None, 'weighted': tensor(inputs['loss_weight'])}
    results = {'eval': scales(network, images, box)}
    for name, weight in weights.items():
        supervision = network.supervise(images, labels, weight, detail_box=box)
        results[name] = {loss: float(value) for loss, value in supervision.losses.items()}
    results['last_features'] = [view.features[-1] for view in supervision.views]
    results['logits'] = network.encode_decode(images)
    results['coarse_logits'] = network.infer(images).logits
    network.train()
    return results | {'train': scales(network, images, box)}


def scales(network: nn.Module, images: Tensor, box: tuple[int, ...]) -> Results:
    """Intermediate results of the training forward."""
    context = network.features(images)
    detail = Segmentor.features(network, network.detail_images(images, box))
    lr, hr = network.decode(context), network.decode(detail)
    attention = network.decode_head.attention(context, lr)
    fused, lr = network.fuse(lr, hr, attention, images.shape[2:], box)
    return dict(attention=attention, fused=fused, lr=lr, hr=hr)


@golden('hrda_slide')
def sliding(params: Params, inputs: Params) -> Results:
    network = hrda_network(params, inputs['weights'], test_cfg=slide(params))
    images = tensor(inputs['image'])
    record = dict(img_shape=tuple(images.shape[2:]), ori_shape=tuple(params['output_size']))
    logits, probabilities, _ = predicted(network, images, record)
    return {'logits': logits, 'softmax': probabilities}


@golden('hrda_outputs')
@torch.no_grad()
def outputs(params: Params, inputs: Params) -> Results:
    images, logits = tensor(inputs['image']), {}
    for output in ('fused', 'LR', 'HR', 'ATT'):
        network = hrda_network(params, inputs['weights'], output=output)
        logits[output] = network.encode_decode(images)
    attention = logits.pop('ATT')
    softmax = {output.lower(): value.softmax(1) for output, value in logits.items()}
    return {'softmax': softmax, 'attention_map': attention}
