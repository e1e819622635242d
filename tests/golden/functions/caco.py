"""CaCo: dictionary and contrast, rescaled queries, class weights of the fine-tuning."""

from types import SimpleNamespace

import torch
from torch import Tensor

from mmseg_uda.models.forward_pass import ForwardPass, View
from mmseg_uda.models.losses import segmentation_loss
from mmseg_uda.uda.components.category_dictionary import CategoryDictionary
from mmseg_uda.uda.components.category_learning import CategoryLearning, Reference
from mmseg_uda.uda.components.class_balance import ClassBalance
from mmseg_uda.uda.components.rescaling import rescale, rescaled_size
from tests.golden.registry import Params, Results, golden, label_maps, tensor


def in_published_order(dictionary: CategoryDictionary, values: Tensor) -> Tensor:
    """Values (C, M, ...) of the places with the newest key in the last one, empty ones first."""
    shift = dictionary.appended % dictionary.capacity
    places = torch.arange(dictionary.capacity) + shift.unsqueeze(1)
    return values[torch.arange(len(values)).unsqueeze(1), places % dictionary.capacity]


def state(dictionary: CategoryDictionary) -> Results:
    """Keys (A, C, M), classes (C, M) with -1 where empty, probabilities (C, C, M)."""
    classes = torch.arange(dictionary.num_classes).unsqueeze(1)
    return {
        'keys': in_published_order(dictionary, dictionary.keys).permute(2, 0, 1),
        'classes': in_published_order(dictionary, classes.where(dictionary.filled, -1)),
        'probabilities': in_published_order(dictionary, dictionary.probabilities).permute(2, 0, 1),
        'valid': int(dictionary.filled.sum()),
    }


def given_dictionary(params: Params, inputs: Params) -> CategoryDictionary:
    """The dictionary of a case, whose keys of a class are in its last places."""
    keys, probabilities = (
        tensor(inputs[name])[0].permute(1, 2, 0) for name in ('keys', 'key_probabilities')
    )
    dictionary = CategoryDictionary(
        params['num_classes'],
        keys.shape[2],
        params['slots'],
        temperature=params['temperature'],
        clamp=params['clamp'],
    )
    values = dictionary.state_dict()
    values['appended'] = torch.tensor(params['valid_slots'])
    for train_id, number in enumerate(params['valid_slots']):
        for name, of_all in dict(keys=keys, probabilities=probabilities).items():
            values[name][train_id, :number] = of_all[train_id, params['slots'] - number :]
    dictionary.load_state_dict(values)
    return dictionary


@golden('category_contrast')
def category_contrast(params: Params, inputs: Params) -> Results:
    dictionary = given_dictionary(params, inputs)
    features = tensor(inputs['features']).requires_grad_()
    loss = dictionary.contrast(features, label_maps(inputs['labels']))
    return {
        'loss': loss,
        'gradient': torch.autograd.grad(loss, features)[0],
        'reliability': dictionary.reliability()[dictionary.filled],
    }


@golden('caco_loss')
def caco_loss(params: Params, inputs: Params) -> Results:
    """The method's losses of a query pass, with given outputs of the networks."""
    features, labels = tensor(inputs['features']), label_maps(inputs['labels'])
    levels = {name: tensor(inputs[f'{name}_augmented']).log() for name in ('main', 'aux')}
    expected = {name: tensor(inputs[f'{name}_reference']) for name in levels}
    given = ForwardPass([View([features])], levels['main'], lambda: levels)
    student = SimpleNamespace(
        num_classes=params['num_classes'],
        feature_channels=features.shape[1],
        size_divisor=1,
        align_corners=True,
        train_pass=lambda images: given,
    )
    categories = CategoryLearning(student, weight=params['contrast_weight'])
    categories.dictionary = given_dictionary(params, inputs)
    reference = Reference(torch.zeros(1, 3, 8, 8), expected, labels)
    draws = SimpleNamespace(percentage=lambda low, high: 100)
    _, losses = categories.query_pass(student, reference, draws)
    return {'loss': sum(value for name, value in losses.items() if 'loss' in name)}


@golden('dictionary_updates')
def dictionary_updates(params: Params, inputs: Params) -> Results:
    channels = inputs['source_features'][0].shape[1]
    options = params['num_classes'], channels, params['slots'], params['confidence']
    dictionary, states = CategoryDictionary(*options), []
    domains = (
        [tensor(maps) for maps in inputs[name]]
        for name in ('source_features', 'source_labels', 'target_features', 'target_probabilities')
    )
    for features, labels, target_features, probabilities in zip(*domains, strict=True):
        dictionary.add_labelled(features, labels)
        dictionary.add_predicted(target_features, probabilities)
        states.append(state(dictionary))
    return {name: [step[name] for step in states] for name in states[0]}


@golden('vanilla_dictionary_contrast')
def vanilla_dictionary_contrast(params: Params, inputs: Params) -> Results:
    assert params['batch'] == len(inputs['labels'][0])
    channels = inputs['key_features'][0].shape[1]
    dictionary = CategoryDictionary(params['num_classes'], channels, params['slots'])
    steps = []
    for keys, labels, queries in zip(
        *(inputs[name] for name in ('key_features', 'labels', 'query_features')), strict=True
    ):
        labels, features = label_maps(labels), tensor(queries).requires_grad_()
        dictionary.add_labelled(tensor(keys), labels)
        loss = dictionary.contrast(features, labels)
        gradient = torch.autograd.grad(loss, features)[0]
        steps.append(state(dictionary) | {'loss': loss, 'gradient': gradient})
    return {name: [step[name] for step in steps] for name in steps[0]}


@golden('scale_augment')
def scale_augment(params: Params, inputs: Params) -> Results:
    results = {'scaled': rescale(tensor(inputs['image']), params['ratio_percent'])}
    for height, width in params['sizes']:
        sizes = [rescaled_size((height, width), percent) for percent in params['ratios_percent']]
        results[f'sizes.{width}x{height}'] = sizes
    return results


@golden('class_balancing')
def class_balancing(params: Params, inputs: Params) -> Results:
    assert params['batch'] == len(inputs['labels'][0])
    balance, results = ClassBalance(params['num_classes'], params['max_value']), []
    for labels, logits in zip(inputs['labels'], inputs['logits'], strict=True):
        labels = label_maps(labels)
        weight = balance.update(labels)
        loss, _ = segmentation_loss(tensor(logits), labels, class_weight=weight)
        results.append((weight, balance.absent.clone(), loss))
    names = 'class_weight', 'often_weight', 'loss'
    return {n: torch.stack(v) for n, v in zip(names, zip(*results, strict=True), strict=True)}
