"""SePiCo by night: class weights, day partners, predicted labels."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_uda.datasets import dark_zurich
from mmseg_uda.models.class_weights import frequency_weights
from mmseg_uda.models.forward_pass import ForwardPass
from mmseg_uda.uda.addons import day_partner
from tests.golden.networks import segmentor_config
from tests.golden.registry import Params, Results, Unsupported, golden, plain, tensor

SMALL = dict(head='daformer', fusion='sep_aspp', encoder='mit_b0')


@golden('class_weights')
def class_weights(params: Params, inputs: Params) -> Results:
    frequencies = params['frequencies']
    return {'weights': [frequency_weights(frequencies, sigma) for sigma in params['sigmas']]}


@golden('day_night_mix')
def day_night_mix(params: Params, inputs: Params) -> Results:
    if params['day_threshold'] != day_partner.CONFIDENT:
        raise Unsupported(f'day_threshold is {params["day_threshold"]}')
    day, night = (tensor(inputs[f'{time}_probabilities']) for time in ('day', 'night'))
    addon = day_partner.DayPartner(
        params['day_ratio'], params['classes'], plain(params['class_weight'])
    )
    addon.set_up(SimpleNamespace(num_classes=day.shape[1]))
    mixed = addon.mix(day, night)
    probability, labels = mixed.max(dim=1)
    return {'mixed': mixed, 'probability': probability, 'labels': labels}


@golden('decide_labels')
def decided_labels(params: Params, inputs: Params) -> Results:
    head_logits, size = tensor(inputs['head_logits']), tuple(params['input_size'])
    config = segmentor_config(Params(SMALL | dict(num_classes=head_logits.shape[1])))
    config['test_cfg'] = dict(mode='whole', class_weight=plain(params['class_weight']))
    network = MODELS.build(config)
    network.infer = lambda images: ForwardPass([], head_logits)
    record = dict(ori_shape=tuple(params['original_size']), img_shape=size)
    samples = [SegDataSample(metainfo=record) for _ in head_logits]
    samples = network.predict(torch.zeros(len(head_logits), 3, *size), samples)
    return {'labels': torch.cat([sample.pred_sem_seg.data for sample in samples])}


@golden('day_partners')
def day_partners(params: Params, inputs: Params) -> Results:
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in params['csv_files'].items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('\n'.join(rows) + '\n')
        partners = dark_zurich.day_partners(folder)
    return {
        'partners': partners,
        'day_file': dark_zurich.day_file(params['night_file'], partners),
    }
