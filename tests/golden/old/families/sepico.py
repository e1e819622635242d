"""SePiCo's own pieces: class statistics, contrastive losses, class-balanced crop, day partners."""

import ast
import re
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

import mmseg_uda.register  # noqa: F401 - registers heads and parts
from mmseg_uda.datasets import dark_zurich
from mmseg_uda.datasets.transforms import random_crop_box
from mmseg_uda.models.class_weights import frequency_weights
from mmseg_uda.models.losses import upscale
from mmseg_uda.uda.class_balanced_crop import best_corners, crop, crop_scores
from mmseg_uda.uda.class_mix import LABEL_VALUES, class_mask, mix
from mmseg_uda.uda.class_statistics import ClassStatistics
from mmseg_uda.uda.contrast_losses import dist_loss, uniformity
from mmseg_uda.uda.pixel_contrast import VARIANTS, PixelContrast
from mmseg_uda.uda.pseudo_labels import ignore_margins, pseudo_labels
from mmseg_uda.uda.reduce_labels import IGNORE, cell_labels, reduce_labels

from ..cases import Case
from ..expressions import evaluate
from ..fill import fill_state_dict
from ..networks import segmentor_config
from . import Results, family
from .functions import label_maps, tensor


@family('sepico', r'loss_(proto|dist|bank)')
def contrast_of_one_map(case: Case) -> Results:
    variant = re.match(r'loss_(\w+?)_', case.name)[1]
    params = case.params
    contrast = PixelContrast(
        params['num_classes'],
        case.input('feat').shape[1],
        variant,
        temperature=params['contrast_temp'],
        regulariser=params['reg_weight'],
        min_ratio=params.get('scale_min_ratio', 0.75),
    )
    return contrast_and_gradients(case, contrast, [''])


@family('sepico', 'module_multi')
def contrast_of_several_maps(case: Case) -> Results:
    params = case.params
    variant = 'bank' if params['use_bank'] else 'dist' if params['use_dist'] else 'proto'
    contrast = PixelContrast(
        params['num_classes'],
        case.input('feat0').shape[1],
        variant,
        temperature=params['contrast_temp'],
        regulariser=params['reg_relative_weight'] * params['use_reg'],
        weight=params['loss_weight'],
        num_maps=np.size(params['loss_weight']),
        min_ratio=params.get('scale_min_ratio', 0.75),
    )
    return contrast_and_gradients(case, contrast, range(len(contrast.statistics)))


def contrast_and_gradients(case: Case, contrast: PixelContrast, layers) -> Results:
    embeddings = []
    for layer, statistics in zip(layers, contrast.statistics, strict=True):
        embeddings.append(tensor(case.input(f'feat{layer}')).requires_grad_())
        statistics.mean.copy_(tensor(case.input(f'mean{layer}')))
        if contrast.variant == 'dist':
            statistics.variance.copy_(tensor(case.input(f'covariance{layer}')))
        if contrast.variant == 'bank':
            fill_bank(case, statistics, f'bank{layer}' if len(embeddings) > 1 else 'bank')
    loss = contrast.loss(embeddings, label_maps(case.input('label')))
    gradients = torch.autograd.grad(loss, embeddings)
    names = [f'grad_feat{layer}' for layer in layers]
    return {'loss': loss, **dict(zip(names, gradients, strict=True))}


def fill_bank(case: Case, statistics: ClassStatistics, name: str) -> None:
    """Rows of all classes after each other, as many for each class as ``lens`` says."""
    rows = tensor(case.input(name))
    words = str(case.inputs[name].get('then', ''))
    lengths = ast.literal_eval(re.search(r'lens = (\[[\d, ]+\])', words)[1])
    for train_id, own in enumerate(rows.split(lengths)):
        statistics.bank[train_id, : len(own)] = own
        statistics.appended[train_id] = len(own)


@family('sepico', 'loss_nearest_dist')
def contrast_with_nearest_labels(case: Case) -> Results:
    """An option that no experiment uses: labels down-scaled by nearest interpolation."""
    embeddings, labels = tensor(case.input('feat')), label_maps(case.input('label'))
    nearest = F.interpolate(labels[:, None].float(), embeddings.shape[2:])[:, 0].long()
    statistics = [tensor(case.input(name)) for name in ('mean', 'covariance')]
    temperature, weight = case.params['contrast_temp'], case.params['reg_weight']
    loss = dist_loss(embeddings, nearest, *statistics, temperature)
    return {'loss': loss + weight * uniformity(embeddings, nearest, statistics[0], temperature)}


@family('sepico', 'loss_empty')
def contrast_without_labels(case: Case) -> Results:
    losses = []
    labels = torch.full((2, 16, 16), int(re.search(r'all (\d+)', case.inputs['label'])[1]))
    for variant in re.findall(r'\w+', case.outputs['loss'].note) or VARIANTS:
        contrast = PixelContrast(
            19, 8, variant, case.params['contrast_temp'], case.params['reg_weight']
        )
        embeddings = torch.rand(2, 8, 4, 4, requires_grad=True)
        losses.append(contrast.loss([embeddings], labels))
        losses[-1].backward()
        assert embeddings.grad.isfinite().all()
    return {'loss': torch.stack(losses)}


@family('sepico', 'reg')
def regulariser(case: Case) -> Results:
    rows = tensor(case.input('feat')).requires_grad_()
    embeddings = rows.T[None, :, :, None]  # (1, A, N, 1)
    labels = torch.zeros(1, len(rows), 1, dtype=torch.int64)
    temperature = case.params['contrast_temp']
    value = uniformity(embeddings, labels, tensor(case.input('mean')), temperature)
    return {'reg': value, 'grad_feat': torch.autograd.grad(value, rows)[0]}


@family('sepico', 'estimator')
def class_statistics(case: Case) -> Results:
    params = case.params
    statistics = ClassStatistics(params['num_classes'], params['dim'], params['memory_length'])
    history: dict[str, list] = {}
    for i in range(params.get('updates', 0)):
        rows, labels = tensor(case.input(f'feat_{i}')), tensor(case.input(f'label_{i}'))
        statistics.update(rows.T[None, :, :, None], labels[None, :, None])
        for name, value in statistics_results(statistics).items():
            history.setdefault(name, []).append(value.clone())
    results = {name: torch.stack(values) for name, values in history.items()}
    results.setdefault('bank_len', statistics.bank_length)
    return results | {'bank_final': torch.cat(bank_rows(statistics))}


def statistics_results(statistics: ClassStatistics) -> Results:
    return {
        'mean': statistics.mean,
        'covariance': statistics.variance,
        'amount': statistics.count,
        'bank_len': statistics.bank_length,
    }


def bank_rows(statistics: ClassStatistics) -> list[Tensor]:
    """Every class's rows in use, the oldest first."""
    rows = []
    for bank, length, appended in zip(
        statistics.bank, statistics.bank_length, statistics.appended, strict=True
    ):
        rows.append(bank[:length].roll(-int(appended) if appended > length else 0, dims=0))
    return rows


@family('sepico', 'downscale')
def reduced_labels(case: Case) -> Results:
    params = case.params
    arguments = params['factor'], params['num_classes'], params['min_ratio']
    return {'label_small': reduce_labels(label_maps(case.input('label')), *arguments)}


@family('sepico', 'prepare')
def labelled_rows(case: Case) -> Results:
    cells, labels = tensor(case.input('feat')), label_maps(case.input('label'))
    small = cell_labels(labels, cells, case.params['num_classes'], case.params['min_ratio'])
    used = small.flatten() != IGNORE
    rows = cells.flatten(2).transpose(1, 2).flatten(0, 1)
    return {'rows': rows[used], 'labels': small.flatten()[used]}


@family('sepico', 'pseudo')
def weighted_pseudo_labels(case: Case) -> Results:
    params = case.params
    pseudo = pseudo_labels(tensor(case.input('logits')).softmax(1), params['threshold'])
    weight = ignore_margins(pseudo.weight, params['ignore_top'], params['ignore_bottom'])
    return {
        'share': pseudo.weight.flatten()[0],
        'label': pseudo.labels,
        'weight_rows': weight[:, :, 0],
        'label_contrast': pseudo.labels.masked_fill(weight == 0, IGNORE),
    }


@family('sepico', 'projector')
def projection(case: Case) -> Results:
    params = dict(case.params)
    assert params.pop('kernel_size', 1) == 1
    indices = params['in_index']
    indices = indices if isinstance(indices, list) else [indices]
    head = MODELS.build(dict(type='ProjectionHead', **params))
    state = head.state_dict()
    names = [[name, list(entry.shape)] for name, entry in state.items()]
    assert names == case.entry['state_dict'], 'the head has other entries'
    head.load_state_dict(fill_state_dict(state, case.entry['state_seed']))
    head.train('train' in case.name)
    features = [None] * (max(indices) + 1)
    for index in indices:
        features[index] = tensor(case.input(f'x{index}'))
    with torch.no_grad():
        return {f'feat{number}': x for number, x in enumerate(head(features))}


@family('sepico', 'cbc')
def balanced_crop(case: Case) -> Results:
    params = case.params
    label, size, ratio = case.input('label'), params['crop_size'], params['cat_max_ratio']
    corners = tensor(case.input('candidates'))[None][..., [0, 2]]  # (1, K, 2)
    labels = tensor(label)[None]
    corner = best_corners(labels, corners, size, ratio)
    box = torch.stack((corner, corner + torch.tensor(size)), dim=2).flatten()
    image = tensor(case.input('img')).permute(2, 0, 1)
    return {
        'box': box,
        'scores': crop_scores(labels, corners, size, ratio)[0],
        'label_crop': crop(labels, corner, size)[0],
        'img_crop_mean': crop(image[None], corner[:, None], size).mean(dim=(0, 2, 3)),
    }


@family('sepico', 'cbc_noprod')
def plain_crop(case: Case) -> Results:
    """Without choice, it is the crop that our data pipeline makes."""
    params, label = case.params, case.input('label').astype(np.uint8)
    np.random.seed(params['numpy_seed'])
    box = random_crop_box(label, params['crop_size'], params['cat_max_ratio'])
    y1, y2, x1, x2 = box
    return {
        'box': box,
        'label_crop': label[y1:y2, x1:x2],
        'img_crop_mean': case.input('img')[y1:y2, x1:x2].mean(axis=(0, 1)),
    }


@family('sepico', 'dark_class_weights')
def night_weights(case: Case) -> Results:
    frequencies = case.params['frequencies']
    return {f'w_{sigma}': frequency_weights(frequencies, sigma) for sigma in case.params['sigma']}


@family('sepico', 'dark_mix')
def day_night_probabilities(case: Case) -> Results:
    weight, ratio = case.params.get('class_weight'), case.params['day_ratio']
    if isinstance(weight, str):
        weight = dict(frequencies=frequencies_beside(case), sigma=float(weight.split('_')[1]))
    part = MODELS.build(dict(type='DayPartner', ratio=ratio, class_weight=weight))
    part.set_up(Classes(case.input('day').shape[1]))
    mixed = part.mix(tensor(case.input('day')), tensor(case.input('night')))
    probability, label = mixed.max(dim=1)
    return {'mixed': mixed, 'prob': probability, 'label': label}


class Classes(nn.Module):
    """Stands for a student of which only the number of classes is asked."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.num_classes = number


def frequencies_beside(case: Case) -> list[float]:
    """The class frequencies that the configs of this repository give."""
    from mmengine.config import Config

    return Config.fromfile('configs/_base_/models/night_weights.py').class_frequencies


@family('sepico', 'test_post')
def decided_labels(case: Case) -> Results:
    """From head logits to train ids at the image's own size."""
    head_logits = tensor(case.input('head_logits'))
    config = segmentor_config('daformer_mitb0', num_classes=head_logits.shape[1])
    sigma = re.search(r'times the ([\d.]+) class weights', case.text)
    if sigma:
        weights = dict(frequencies=frequencies_beside(case), sigma=float(sigma[1]))
        config['test_cfg'] = dict(mode='whole', class_weight=weights)
    network = MODELS.build(config)
    size = tuple(case.params['input_size'])
    network.logits = lambda images: upscale(head_logits, size)
    record = dict(ori_shape=tuple(case.params['original_size']), img_shape=size)
    images = torch.zeros(len(head_logits), 3, *size)
    (sample,) = network.predict(images, [SegDataSample(metainfo=record)])
    return {'pred': sample.pred_sem_seg.data[0]}


@family('sepico', 'dark_corresp')
def day_partners(case: Case) -> Results:
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in case.inputs['csv_files'].items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('\n'.join(rows) + '\n')
        partners = dark_zurich.day_partners(folder)
    return {
        'map': partners,
        'day_file': dark_zurich.day_file(case.inputs['night_file'], partners),
    }


@family('sepico', 'classmix')
def class_mixed(case: Case) -> Results:
    labels = label_maps(case.input('source_label'))
    chosen = torch.zeros(len(labels), LABEL_VALUES, dtype=torch.bool)
    for image, classes in zip(chosen, case.inputs['chosen_classes'], strict=True):
        image[classes] = True
    mask = class_mask(labels, chosen)
    value, margin = re.match(r'([\d.]+), (.*?);', case.inputs['target_weight']).groups()
    margin = f'{margin.removesuffix(" 0")} are 0'
    weight = evaluate(f'{value} * ones(...); {margin}', {'shape': list(labels.shape)})
    return {
        'mask': mask,
        'mixed': mix(mask, tensor(case.input('source')), tensor(case.input('target'))),
        'mixed_label': mix(mask, labels, label_maps(case.input('target_label')))[:, None],
        'mixed_weight': mix(mask, torch.ones(mask.shape), tensor(weight))[:, None],
    }
