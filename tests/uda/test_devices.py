"""Steps away from the host: on a machine without a GPU, then on one.

Tensors of torch's ``meta`` device have shapes and no values: an operation that mixes them with the
host's, or that asks for a value, fails, as it would fail or wait on a GPU.
"""

from contextlib import nullcontext

import pytest
import torch

from mmseg_uda.datasets.depth_bank import DepthBank

from .conftest import MIC, build, hrda, segmentor, sepico, sepico_batch, uda_batch
from .depth_banks import EVERYTHING, Bank, depths
from .steps import bfloat16_optimiser, optimiser

ADDONS = dict(
    feature_distance=dict(type='FeatureDistance', classes=[6, 7, 11], min_ratio=0.75),
    cdda=dict(type='CDDA', bank='bank', **EVERYTHING),
    margins=dict(type='IgnoreMargins', top=4, bottom=8),
    mic=MIC,
)


def self_training(network=segmentor):
    addons = dict(ADDONS, valid=dict(type='ValidRegion'))
    return build(dict(type='SelfTraining', segmentor=network(), addons=addons, jitter_threshold=-1))


def of_type(kind, addons=None, network=segmentor, **options):
    network = network(norm='GN') | options
    return lambda: build(dict(type=kind, segmentor=network, addons=addons or {}))


METHODS = {
    'SelfTraining with all parts': self_training,
    'SelfTraining on HRDA with all parts': lambda: self_training(hrda),
    'SourceOnly': of_type('SourceOnly'),
    'SDCA': of_type('SDCA', average='valid', lovasz_weight=0.75),
    'ClassAdversarial': of_type('ClassAdversarial', average='valid'),
    'SDCA on HRDA': of_type('SDCA', network=hrda),
    'ClassAdversarial on HRDA': of_type('ClassAdversarial', network=hrda),
    'AdvSeg': of_type('AdvSeg', dict(mic=MIC)),
    'AdvSeg on HRDA': of_type('AdvSeg', network=hrda),
    'MinEnt on HRDA': of_type('MinEnt', network=hrda),
    **{f'SePiCo {v}': lambda v=v: sepico(v, start_iteration=0) for v in ('dist', 'bank', 'proto')},
}


def batch_for(name):
    if name.startswith('SePiCo'):
        return sepico_batch()
    batch = uda_batch()
    batch.target.depth = depths(2)
    batch.target.valid = torch.ones(2, 64, 64)
    return batch


def step_on(device, name, monkeypatch, make_wrapper=optimiser):
    """A step of a method on a device: the student's parameters before and after, and the logs."""
    monkeypatch.setattr(DepthBank, 'open', lambda path: Bank())
    method = METHODS[name]().to(device)
    batch, wrapper = batch_for(name), make_wrapper(method)
    for domain in (batch.source, batch.target):
        for key, value in vars(domain).items():
            if isinstance(value, torch.Tensor):
                setattr(domain, key, value.to(device))
    parameters = list(method.student.parameters())
    before = [parameter.detach().clone() for parameter in parameters]
    logs = method.backward_passes(method.begin(batch), wrapper)
    wrapper.step()
    assert {value.device.type for value in (*parameters, *logs.values())} == {device}
    return before, parameters, logs


@pytest.mark.parametrize('name', METHODS)
def test_a_step_stays_on_its_device(name, monkeypatch):
    monkeypatch.setattr(torch, 'autocast', lambda *_, **__: nullcontext())  # meta has none
    # CDDA asks once in a step: for the rows of its bank, and whether there is a guidance pass.
    monkeypatch.setattr(torch.Tensor, 'tolist', lambda self: [3, -1, 1])
    step_on('meta', name, monkeypatch)


CUDA = pytest.param(
    'cuda',
    marks=[
        pytest.mark.cuda,
        pytest.mark.skipif(not torch.cuda.is_available(), reason='needs an NVIDIA GPU'),
    ],
)


@pytest.mark.parametrize('make_wrapper', [optimiser, bfloat16_optimiser])
@pytest.mark.parametrize('device', ['cpu', CUDA])
@pytest.mark.parametrize('name', METHODS)
def test_a_step_moves_the_student(name, device, make_wrapper, monkeypatch):
    before, after, logs = step_on(device, name, monkeypatch, make_wrapper)
    assert all(value.isfinite().all() for value in (*after, *logs.values()))
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
