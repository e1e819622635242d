"""Class statistics and contrastive losses of SePiCo and SDCA."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.uda.components.class_statistics import ClassStatistics
from mmseg_uda.uda.components.contrast_losses import (
    semantic_loss,
    uniformity,
)
from mmseg_uda.uda.components.pixel_contrast import PixelContrast
from mmseg_uda.uda.components.reduce_labels import nearest_labels
from mmseg_uda.uda.components.semantic_distributions import FILES, SemanticDistributions
from tests.golden.networks import load, sdca_config, sdca_name
from tests.golden.registry import Params, Results, Unsupported, golden, label_maps, tensor

STATISTICS = 'mean', 'variance', 'count'


def as_map(rows: Tensor) -> Tensor:
    """Rows (N, A) reshaped to a map (1, A, N, 1)."""
    return rows.T[None, :, :, None]


@golden('class_statistics')
def class_statistics(params: Params, inputs: Params) -> Results:
    sizes = params['num_classes'], params['dim'], params['bank_size']
    statistics = ClassStatistics(*sizes)
    start(statistics, inputs, 'initial_')
    history = {name: [] for name in (*STATISTICS, 'bank_length')}
    results = {'initial_bank_length': statistics.lengths.clone()}
    for rows, labels in zip(inputs['features'], inputs['labels'], strict=True):
        statistics.update(as_map(tensor(rows)), label_maps(labels)[None, :, None])
        for name, values in history.items():
            attribute = 'lengths' if name == 'bank_length' else name
            values.append(getattr(statistics, attribute).clone())
    bank = {'bank': torch.cat(bank_rows(statistics))} if params['bank_size'] else {}
    stacked = {name: torch.stack(values) for name, values in history.items() if values}
    return results | stacked | bank


def start(statistics: ClassStatistics, inputs: Params, prefix: str) -> None:
    """Set the initial statistics of a case; all others stay 0."""
    for name in STATISTICS:
        if f'{prefix}{name}' in inputs:
            getattr(statistics, name).copy_(tensor(inputs[f'{prefix}{name}']))


def bank_rows(statistics: ClassStatistics) -> list[Tensor]:
    """Rows in use of every class, oldest first."""
    banks = zip(statistics.bank, statistics.lengths, statistics.appended, strict=True)
    return [
        bank[:length].roll(-int(appended) if appended > length else 0, dims=0)
        for bank, length, appended in banks
    ]


@golden('contrast_loss')
def contrast_of_one_map(params: Params, inputs: Params) -> Results:
    embeddings = tensor(inputs['features']).requires_grad_()
    labels = label_maps(inputs['labels'])
    contrast = build_contrast(params, [embeddings])
    given = {name: [inputs[name]] for name in ('mean', 'variance', 'bank') if name in inputs}
    fill_statistics(contrast, params, given)
    if params['label_reduction'] == 'average':
        loss = contrast.loss([embeddings], labels)
    elif params['label_reduction'] == 'nearest':  # an option that no experiment uses
        loss = contrast._loss(
            contrast.statistics[0], embeddings, nearest_labels(labels, embeddings.shape[2:])
        )
    else:
        raise Unsupported(f'label_reduction is {params["label_reduction"]!r}')
    return {'loss': loss, 'gradient': torch.autograd.grad(loss, embeddings)[0]}


@golden('contrast_module')
def contrast_of_several_maps(params: Params, inputs: Params) -> Results:
    if params['label_reduction'] != 'average':
        raise Unsupported(f'label_reduction is {params["label_reduction"]!r}')
    embeddings = [tensor(features).requires_grad_() for features in inputs['features']]
    contrast = build_contrast(params, embeddings, weight=params['weights'])
    plurals = {'mean': 'means', 'variance': 'variances', 'bank': 'banks'}
    given = {name: inputs[plural] for name, plural in plurals.items() if plural in inputs}
    fill_statistics(contrast, params, given)
    loss = contrast.loss(embeddings, label_maps(inputs['labels']))
    return {'loss': loss, 'gradients': torch.autograd.grad(loss, embeddings)}


def build_contrast(params: Params, embeddings: Sequence[Tensor], **options) -> PixelContrast:
    lengths = params['bank_lengths'] or [0]
    return PixelContrast(
        params['num_classes'],
        embeddings[0].shape[1],
        params['variant'],
        temperature=params['temperature'],
        regulariser=params['regulariser'],
        min_ratio=params['min_ratio'],
        bank_size=max(lengths),
        num_maps=len(embeddings),
        **options,
    )


def fill_statistics(contrast: PixelContrast, params: Params, given: dict[str, list]) -> None:
    """Set means, variances and banks; a bank lists the rows of class 0, of class 1, ..."""
    for number, statistics in enumerate(contrast.statistics):
        statistics.mean.copy_(tensor(given['mean'][number]))
        if 'variance' in given:
            statistics.variance.copy_(tensor(given['variance'][number]))
        if 'bank' in given:
            rows = tensor(given['bank'][number]).split(params['bank_lengths'])
            for train_id, own in enumerate(rows):
                statistics.bank[train_id, : len(own)] = own
                statistics.appended[train_id] = len(own)


@golden('contrast_regulariser')
def regulariser(params: Params, inputs: Params) -> Results:
    rows = tensor(inputs['rows']).requires_grad_()
    labels = torch.zeros(1, len(rows), 1, dtype=torch.int64)
    value = uniformity(as_map(rows), labels, tensor(inputs['mean']), params['temperature'])
    return {'value': value, 'gradient': torch.autograd.grad(value, rows)[0]}


@golden('semantic_contrast')
def semantic_contrast(params: Params, inputs: Params) -> Results:
    assert params['num_classes'] == len(inputs['mean'])
    results, labels = {}, label_maps(inputs['labels'])[None, :, None]
    for dtype, suffix in ((torch.float32, ''), (torch.float64, '_float64')):
        features, mean, variance = (
            tensor(inputs[name]).to(dtype) for name in ('features', 'mean', 'variance')
        )
        features.requires_grad_()
        loss = semantic_loss(as_map(features), labels, mean, variance, params['temperature'])
        (gradient,) = torch.autograd.grad(loss, features)
        results[f'loss{suffix}'] = loss
    return results | {'gradient_times_1e6': 1e6 * gradient}


@golden('initial_distributions')
@torch.no_grad()
def initial_distributions(params: Params, inputs: Params) -> Results:
    network = MODELS.build(sdca_config(params['network'], params['num_classes']))
    load(network, inputs['weights'], sdca_name)
    network.eval()
    distributions = SemanticDistributions.of(network)
    images, labels = tensor(inputs['images']), label_maps(inputs['labels'])
    for image, label in zip(images, labels, strict=True):
        (features,) = network.features(image[None])
        distributions.update({'feat': features, 'out': network.decode([features])}, label[None])
    results = distribution_results(distributions)
    with tempfile.TemporaryDirectory() as folder:
        distributions.save(Path(folder))
        files = [torch.load(Path(folder) / name, weights_only=True) for name in FILES.values()]
    (keys,) = {tuple(sorted(content)) for content in files}
    return results | {'file_keys': list(keys)}


def distribution_results(distributions: SemanticDistributions) -> Results:
    """Class distributions of features (``feat``) and logits (``out``)."""
    return {
        level: {name: getattr(statistics, name) for name in STATISTICS}
        for level, statistics in distributions.levels.items()
    }
