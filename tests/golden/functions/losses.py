"""Losses and discriminators."""

import torch

from mmseg_uda.models.discriminator import Discriminator, PixelDiscriminator
from mmseg_uda.models.losses import lovasz_softmax, segmentation_loss, upscale
from mmseg_uda.uda.methods import fada as class_adversarial
from mmseg_uda.uda.methods.advseg import SOURCE, TARGET, domain_loss
from mmseg_uda.uda.methods.minent import entropy
from tests.golden.networks import layout, load
from tests.golden.registry import Params, Results, golden, label_maps, tensor


@golden('segmentation_loss')
def cross_entropy(params: Params, inputs: Params) -> Results:
    logits = tensor(inputs['logits']).requires_grad_()
    weight = tensor(inputs['weight']) if 'weight' in inputs else None
    loss, accuracy = segmentation_loss(logits, label_maps(inputs['labels']), weight)
    (gradient,) = torch.autograd.grad(loss, logits)
    return {'loss': loss, 'accuracy': accuracy, 'gradient': gradient}


@golden('segmentation_loss_valid')
def cross_entropy_of_labelled_pixels(params: Params, inputs: Params) -> Results:
    logits = tensor(inputs['logits']).requires_grad_()
    loss, _ = segmentation_loss(logits, label_maps(inputs['labels']), average='valid')
    (gradient,) = torch.autograd.grad(loss, logits)
    return {'loss': loss, 'gradient': gradient}


@golden('lovasz_softmax')
def lovasz(params: Params, inputs: Params) -> Results:
    results, labels = {}, label_maps(inputs['labels'])
    for dtype, suffix in ((torch.float32, ''), (torch.float64, '_float64')):
        logits = tensor(inputs['logits']).to(dtype).requires_grad_()
        loss = lovasz_softmax(logits, labels)
        (gradient,) = torch.autograd.grad(loss, logits)
        cross_entropy, _ = segmentation_loss(logits, labels, average='valid')
        results |= {f'loss{suffix}': loss, f'cross_entropy{suffix}': cross_entropy}
    return results | {'gradient_times_1e3': 1e3 * gradient}


@golden('soft_label_cross_entropy')
def soft_label_cross_entropy(params: Params, inputs: Params) -> Results:
    domains = {'source': class_adversarial.SOURCE, 'target': class_adversarial.TARGET}
    scores = tensor(inputs['scores']).requires_grad_()
    losses = class_adversarial.class_domain_loss(
        scores, tensor(inputs['soft_labels']), domains[params['domain']]
    )
    (gradient,) = torch.autograd.grad(losses.mean(), scores)
    return {
        'loss': losses.mean(),
        'loss_weighted': (tensor(inputs['weights']) * losses).mean(),
        'gradient_times_1e3': 1e3 * gradient[0],
    }


@golden('entropy_and_discriminator')
@torch.no_grad()
def entropy_and_discriminator(params: Params, inputs: Params) -> Results:
    discriminator = Discriminator(params['num_classes'])
    load(discriminator, inputs['weights'])
    probabilities = tensor(inputs['logits']).softmax(1)
    scores = discriminator(probabilities)
    return {
        'entropy_loss': entropy(probabilities).mean(),
        'entropy_map': entropy(probabilities),
        'discriminator': scores,
        'ls_source': domain_loss(scores, SOURCE, 'mse'),
        'ls_target': domain_loss(scores, TARGET, 'mse'),
        'bce_source': domain_loss(scores, SOURCE, 'bce'),
        'bce_target': domain_loss(scores, TARGET, 'bce'),
        'state_dict': layout(discriminator),
    }


@golden('patch_discriminator')
@torch.no_grad()
def patch_discriminator(params: Params, inputs: Params) -> Results:
    network = Discriminator(params['num_classes'])
    load(network, inputs['weights'])
    return {'scores': network(tensor(inputs['probabilities'])), 'state_dict': layout(network)}


@golden('pixel_discriminator')
@torch.no_grad()
def pixel_discriminator(params: Params, inputs: Params) -> Results:
    network = PixelDiscriminator(params['in_channels'], params['num_classes'])
    load(network, inputs['weights'])
    logits = network(tensor(inputs['features']))
    results = {'logits': logits, 'state_dict': layout(network)}
    if params['output_size'] is not None:
        results['logits_full'] = upscale(logits, params['output_size'], align_corners=True)
    return results
