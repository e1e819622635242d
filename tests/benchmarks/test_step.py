import copy
import re
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope

from benchmarks.__main__ import main
from benchmarks.contrast import (
    make_problem,
    make_semantic_problem,
    run_naive,
    run_naive_semantic,
    run_ours,
    run_semantic,
)
from benchmarks.search import search_visits, synthetic_bank, target_tables
from benchmarks.step import (
    build_method,
    measure_step,
    number_of_views,
    random_batch,
    random_geometry,
    training_batch,
)
from mmseg_uda.engine.config import load_config
from mmseg_uda.uda.components.depth_similarity import DepthSimilarity
from mmseg_uda.uda.components.pixel_contrast import VARIANTS
from mmseg_uda.uda.components.warp import inverse
from tests.precision import TOLERANCE, assert_same

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize('variant', VARIANTS)
def test_ours_and_the_naive_formulation_agree(float64, variant):
    torch.manual_seed(0)
    ours = make_problem(variant, size=12, channels=16)
    ours.contrast.temperature = 0.5
    naive = copy.deepcopy(ours)
    assert_same(run_ours(ours), run_naive(naive))
    assert_same(ours.embeddings.grad, naive.embeddings.grad)
    for name, value in ours.contrast.state_dict().items():
        assert_same(value, naive.contrast.state_dict()[name])


def test_ours_and_the_naive_form_of_sdca_agree(float64, monkeypatch):
    monkeypatch.setattr('benchmarks.contrast.SDCA_TEMPERATURE', 0.5)
    torch.manual_seed(0)
    ours = make_semantic_problem((9, 12), channels=16)
    naive = copy.deepcopy(ours)
    assert_same(run_semantic(ours), run_naive_semantic(naive))
    assert_same(ours.embeddings.grad, naive.embeddings.grad)
    for name, value in ours.contrast.state_dict().items():
        assert_same(value, naive.contrast.state_dict()[name])


@pytest.mark.parametrize('start', [0, 100])
def test_every_network_pass_of_a_contrast_step_is_replayed(start):
    options = {'model.start_iteration': start, 'model.crop_size': (64, 64)}
    config = load_config('configs/toy/sepico_dist_mitb0_toy_game2city.py', options)
    init_default_scope('mmseg')
    batch = random_batch((64, 64), 2, target_size=(64, 128))
    cost = measure_step(*build_method(config, 'cpu'), batch, repeats=1)
    assert cost.calls == {'teacher': 3, 'student': 3 if start == 0 else 2}


def test_a_batch_has_the_images_of_the_config(tmp_path):
    """Blocks, and groups of views."""
    path = tmp_path / 'config.py'
    bases = [f'{CONFIGS}/_base_/datasets/toy_dasac.py', f'{CONFIGS}/_base_/toy_runtime.py']
    path.write_text(f'_base_ = {bases}\nmodel = dict(type="MinEnt")\n')
    batch = training_batch(load_config(path), 'cpu')
    assert batch['source']['label'].shape == (4, 64, 128)
    assert batch['source']['image'].shape == (4, 3, 64, 128)
    assert batch['target']['image'].shape == (1, 3, 64, 128)
    for views in batch['target']['views'].values():
        assert views['image'].shape == (1, 4, 3, 64, 128)
        assert views['geometry'].shape == (1, 4, 2, 3)
    plain = training_batch(load_config(f'{CONFIGS}/toy/daformer_mitb0_toy_game2city.py'), 'cpu')
    assert plain['source']['image'].shape == plain['target']['image'].shape == (4, 3, 128, 256)
    assert 'views' not in plain['target']


VIEWS_CONFIG = """
_base_ = {base!r}
target_pipeline = [dict(type='FixedResize', size=(64, 64)), dict(type='MakeViews', number=3)]
train_dataloader = dict(dataset=dict(target=dict(pipeline=target_pipeline)))
model = dict(
    _delete_=True,
    type='DASAC',
    segmentor={{{{_base_.segmentor}}}},
    addons=dict(abn=dict(type='AdaptiveBatchNorm')),
)
"""


def test_views_are_made_for_a_config_that_has_them(tmp_path):
    base = Path('configs/toy/daformer_mitb0_toy_game2city.py').resolve()
    file = tmp_path / 'views.py'
    file.write_text(VIEWS_CONFIG.format(base=str(base)))
    config = load_config(file, {})
    init_default_scope('mmseg')
    assert number_of_views(config) == 3
    batch = random_batch((64, 64), (2, 1), views=3)
    assert batch['target']['views']['noisy']['image'].shape == (1, 3, 3, 64, 64)
    cost = measure_step(*build_method(config, 'cpu'), batch, repeats=1)
    assert cost.calls == {'student': 2, 'teacher': 1, 'student without gradients': 1}


def test_views_show_parts_of_the_image():
    """The corners of a view lie in the image."""
    corners = torch.tensor([[-1.0, -1.0, 1.0], [1.0, 1.0, 1.0]]).T
    positions = inverse(random_geometry(4, 5)) @ corners
    assert positions.abs().amax() <= 1 + 1e-6
    assert (positions[..., 1] - positions[..., 0]).amin() >= 1 - 1e-6


def test_command(capsys):
    main(['contrast', '--size', '64', '--strides', '8', '--repeats', '1', '--naive-cells', '64'])
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[2:5] for line in lines] == [
        [variant, name, cells]
        for variant in VARIANTS
        for name, cells in (('ours', '128'), ('naive', '64'))
    ]


def test_the_search_finds_what_the_plain_formula_finds(float64, capsys):
    main(['search', '--rows', '40', '130', '--images', '2', '--repeats', '1', '--in-memory', '60'])
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.split()[0] for line in lines] == ['40', '130']
    for line in lines:
        assert 'other best rows: 0' in line
        mean, of_class = re.search(r'mean (\S+), class (\S+)', line).groups()
        assert float(mean) < TOLERANCE and float(of_class) < TOLERANCE


def test_banks_that_follow_each_other_are_one_bank(float64):
    generator = torch.Generator().manual_seed(0)
    counts, tables = synthetic_bank(90, generator), target_tables(3, generator, size=64)
    whole = DepthSimilarity(counts).search(tables)
    parts = [DepthSimilarity(part.contiguous()) for part in counts.split(40, dim=1)]
    rows, similarity = search_visits(parts, tables)
    assert torch.equal(rows, whole.rows)
    assert_same(similarity, whole.similarity)


def test_command_of_the_distributions(capsys):
    main(['distributions', '--size', '8', '8', '--channels', '4', '--repeats', '1'])
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[2:4] for line in lines] == [['ours', '128'], ['naive', '128']]
