import itertools
import os
import random

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmseg_uda.datasets import source_labels, source_target, transforms
from mmseg_uda.datasets.source_target import (
    PositionSampler,
    SourceTargetDataset,
    collate_domains,
)
from mmseg_uda.errors import UserError
from mmseg_uda.preparation.conversion import convert_label_images
from mmseg_uda.preparation.raw_labels import GTA
from tests.datasets.conftest import (
    stripes,
    write_image,
    write_palette_label,
    write_train_ids,
)


def pipeline(scale, *extra, **crop):
    return [
        dict(type='LabelFirstCrop', scale=scale, crop_size=(32, 32), **crop),
        dict(type='RandomFlip', prob=0.5),
        *extra,
        dict(type='PackDomain'),
    ]


@pytest.fixture
def config(tmp_path):
    """Six GTA pairs (class 12 rare) and five unlabelled Cityscapes images, all of 48 x 96."""
    for number in range(6):
        write_image(tmp_path / f'gta/images/{number:05d}.png', (48, 96), number)
        ids = stripes((48, 96), [7] * 5 + [26] * 3)
        if number > 3:
            ids[20:28, 56:64] = 25
        write_palette_label(tmp_path / f'gta/labels/{number:05d}.png', ids)
    convert_label_images(GTA, str(tmp_path / 'gta'), nproc=1)
    folder = tmp_path / 'cityscapes/leftImg8bit/train/bonn'
    for number in range(5):
        write_image(folder / f'bonn_{number:06d}_000019_leftImg8bit.png', (48, 96), 50 + number)
    return dict(
        source=dict(
            type='GTADataset',
            data_root=str(tmp_path / 'gta'),
            data_prefix=dict(img_path='images', seg_map_path='labels'),
            pipeline=pipeline((96, 48), cat_max_ratio=0.75),
        ),
        target=dict(
            type='CityscapesDataset',
            data_root=str(tmp_path / 'cityscapes'),
            data_prefix=dict(img_path='leftImg8bit/train'),
            pipeline=pipeline((96, 48), margins=(4, 8, 4, 4)),
        ),
        rare_class_sampling=dict(class_temp=0.1, min_pixels=40, min_crop_ratio=0.5),
        seed=3,
    )


def equal(one, two):
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(equal, one, two))
    return torch.equal(one, two) if torch.is_tensor(one) else one == two


def test_sample(config):
    dataset = SourceTargetDataset(**config)
    assert len(dataset) == 30
    assert dataset.metainfo['classes'][0] == 'road'
    sample = dataset[7]
    assert set(sample) == {'source', 'target', 'position'} and sample['position'] == 7
    ((source,), (target,)) = sample['source'], sample['target']
    assert set(source) == {'image', 'label', 'path'}
    assert set(target) == {'image', 'valid', 'path'}
    assert source['image'].shape == (3, 32, 32)
    assert target['valid'].shape == (32, 32)


def test_sample_depends_on_seed_and_position_alone(config):
    dataset = SourceTargetDataset(**config)
    first = dataset[5]
    np.random.seed(123)
    random.seed(9)
    states = np.random.get_state()[1].copy(), torch.get_rng_state(), random.getstate()
    dataset[6]
    assert equal(SourceTargetDataset(**config)[5], first)
    assert (np.random.get_state()[1] == states[0]).all()  # and it leaves the generators alone
    assert torch.equal(torch.get_rng_state(), states[1]) and random.getstate() == states[2]
    assert not equal(dataset[6]['source'], first['source'])
    other = SourceTargetDataset(**(config | dict(seed=4)))
    assert any(not equal(other[i]['target'], dataset[i]['target']) for i in range(5))


def test_target_does_not_depend_on_the_source(config):
    targets = [SourceTargetDataset(**config)[i]['target'] for i in range(6)]
    config['rare_class_sampling'] = None
    config['source']['pipeline'] = pipeline((96, 48), dict(type='PhotoMetricDistortion'))
    dataset = SourceTargetDataset(**config)
    assert all(equal(dataset[i]['target'], targets[i]) for i in range(6))


def test_rare_class_sampling_prefers_images_and_crops_with_the_class(config):
    shares = []
    for sampling in (None, config['rare_class_sampling'] | dict(class_temp=0.01)):
        dataset = SourceTargetDataset(**(config | dict(rare_class_sampling=sampling)))
        labels = [dataset[i]['source'][0]['label'] for i in range(60)]
        shares.append(np.mean([bool((label == 12).sum() > 20) for label in labels]))
    assert shares[0] < 0.4 and shares[1] > 0.8


def test_images_are_decoded_once_a_sample(config, monkeypatch):
    dataset = SourceTargetDataset(**config)
    decoded = []
    read = transforms.read_image
    monkeypatch.setattr(transforms, 'read_image', lambda path: decoded.append(path) or read(path))
    for position in range(10):
        sample = dataset[position]
        assert decoded == [sample[name][0]['path'] for name in ('source', 'target')]
        decoded.clear()


def test_all_images_are_drawn_without_rare_class_sampling(config):
    dataset = SourceTargetDataset(**(config | dict(rare_class_sampling=None)))
    samples = [dataset[i] for i in range(80)]
    for domain, number in (('source', 6), ('target', 5)):
        assert len({sample[domain][0]['path'] for sample in samples}) == number


def test_without_target(config):
    dataset = SourceTargetDataset(config['source'])
    assert len(dataset) == 6 and set(dataset[0]) == {'source', 'position'}


def test_labelled_target(config, tmp_path):
    for image in (tmp_path / 'cityscapes/leftImg8bit/train/bonn').iterdir():
        name = image.name.replace('_leftImg8bit', '_gtFine_labelTrainIds')
        write_train_ids(tmp_path / 'cityscapes/gtFine/train/bonn' / name, stripes((48, 96), [1, 2]))
    (unlabelled,) = SourceTargetDataset(**config)[3]['target']
    config['target']['data_prefix']['seg_map_path'] = 'gtFine/train'
    (labelled,) = SourceTargetDataset(**config)[3]['target']
    assert labelled.pop('label').shape == (32, 32)
    assert equal(labelled, unlabelled)  # the label changes no draw


def test_own_data_with_three_classes(config, tmp_path):
    for number in range(3):
        write_image(tmp_path / f'own/pictures/p{number}.jpg', (40, 60), number)
        write_train_ids(tmp_path / f'own/masks/p{number}.png', stripes((40, 60), [0, 1, 2, 255]))
    config['source'] = dict(
        type='BaseSegDataset',
        data_root=str(tmp_path / 'own'),
        data_prefix=dict(img_path='pictures', seg_map_path='masks'),
        metainfo=dict(classes=('road', 'field', 'house'), palette=[[0] * 3, [9] * 3, [99] * 3]),
        pipeline=pipeline((60, 40)),
    )
    config['rare_class_sampling'] = None
    dataset = SourceTargetDataset(**config)
    assert dataset.metainfo['classes'] == ('road', 'field', 'house')
    assert set(dataset[0]['source'][0]['label'].unique().tolist()) <= {0, 1, 2, 255}
    for number in range(3):
        write_train_ids(tmp_path / f'own/masks/p{number}.png', stripes((40, 60), [0, 3]))
    with pytest.raises(UserError, match=r'masks/p\d.png: label value 3 is neither one of the 3'):
        for position in range(5):
            dataset[position]


def test_source_labels_that_look_wrong(config, tmp_path):
    """By the statistics file where it has all labels; otherwise by labels spread over the set."""
    config['rare_class_sampling'] = None
    (warning,) = SourceTargetDataset(**config).source_warnings()
    assert '0 (road)' not in warning and '12 (rider)' not in warning
    assert 'is in the 6 source labels: 1 (sidewalk), 2 (building)' in warning

    (tmp_path / 'gta/sample_class_stats.json').unlink()
    write_train_ids(tmp_path / 'gta/labels/00002_labelTrainIds.png', np.full((48, 96), 255))
    missing, empty = SourceTargetDataset(**config).source_warnings()
    assert 'is in the 6 source labels: 1 (sidewalk)' in missing
    assert '1 of the 6' in empty and 'all 255' in empty and '00002_labelTrainIds.png' in empty


def test_few_labels_are_read_for_the_warnings(config, monkeypatch, tmp_path):
    (tmp_path / 'gta/sample_class_stats.json').write_text('[{"damaged": 1}]')
    monkeypatch.setattr(source_labels, 'MOST_READ', 2)
    config['rare_class_sampling'] = None
    dataset, read = SourceTargetDataset(**config), []
    monkeypatch.setattr(
        transforms,
        'read_label_values',
        lambda path, read_values=transforms.read_label_values: (
            read.append(path) or read_values(path)
        ),
    )
    (warning,) = dataset.source_warnings()  # rider is in the labels 4 and 5 alone
    assert [os.path.basename(path)[:5] for path in read] == ['00000', '00003']
    assert '12 (rider)' in warning and 'the 2 source labels that were read (of 6)' in warning


def test_source_labels_without_fault_give_no_warning(config):
    config['rare_class_sampling'] = None
    config['source']['metainfo'] = dict(classes=('road', 'car', 'rider'))
    dataset = SourceTargetDataset(**config)
    assert dataset.source.datasets[0].label_map is not None and dataset.source_warnings() == []


def test_source_without_labels_and_missing_statistics(config, tmp_path):
    with pytest.raises(UserError, match='source data set has no labels'):
        SourceTargetDataset(config['target'])
    (tmp_path / 'gta/sample_class_stats.json').unlink()
    with pytest.raises(UserError, match='sample_class_stats.json: not found'):
        SourceTargetDataset(**config)


def test_batches_do_not_depend_on_the_number_of_workers(config):
    batches = []
    for workers in (0, 2):
        loader = Runner.build_dataloader(
            dict(
                dataset=dict(type='SourceTargetDataset', **config),
                sampler=dict(type='PositionSampler', batch_size=2),
                batch_size=2,
                num_workers=workers,
                collate_fn=dict(type='collate_domains'),
            ),
            seed=workers,
        )
        batches.append(list(itertools.islice(loader, 4)))
    assert all(equal(one, two) for one, two in zip(*batches, strict=True))
    batch = batches[0][1]
    assert batch['position'].tolist() == [2, 3] and batch['position'].dtype == torch.int64
    assert batch['source']['image'].shape == (2, 3, 32, 32)
    assert batch['source']['label'].shape == (2, 32, 32)
    assert isinstance(batch['source']['path'], list) and len(batch['target']['path']) == 2


def test_a_block_has_consecutive_samples_of_each_stream(config):
    pairs, blocks = SourceTargetDataset(**config), SourceTargetDataset(**config, block=(3, 2))
    assert len(blocks) == len(pairs) and blocks.block == (3, 2)
    for position in (0, 4):
        block = blocks[position]
        for name, size in (('source', 3), ('target', 2)):
            singles = [pairs[position * size + i][name][0] for i in range(size)]
            assert equal(block[name], singles)
    batch = collate_domains([blocks[4], blocks[5]])
    assert batch['position'].tolist() == [4, 5]
    singles = [pairs[number] for number in range(12, 18)]
    assert equal(batch['source'], collate_domains(singles)['source'])
    assert equal(batch['target'], collate_domains([pairs[n] for n in range(8, 12)])['target'])


def test_blocks_do_not_depend_on_workers_or_where_a_run_resumes(config):
    runs = []
    for workers, start in ((0, 0), (1, 0), (2, 0), (0, 4)):
        loader = Runner.build_dataloader(
            dict(
                dataset=dict(type='SourceTargetDataset', block=(3, 1), **config),
                sampler=dict(type='PositionSampler', batch_size=2),
                batch_size=2,
                num_workers=workers,
                collate_fn=dict(type='collate_domains'),
            )
        )
        loader.sampler.skip(start)
        runs.append(list(itertools.islice(loader, 4)))
    assert runs[0][0]['source']['image'].shape == (6, 3, 32, 32)
    assert runs[0][0]['target']['image'].shape == (2, 3, 32, 32)
    assert all(map(equal, runs[0], runs[1])) and all(map(equal, runs[0], runs[2]))
    assert all(map(equal, runs[0][2:], runs[3][:2]))


def test_blocks_without_a_target(config):
    dataset = SourceTargetDataset(config['source'], block=(2, 5))
    assert set(dataset[0]) == {'source', 'position'} and len(dataset[0]['source']) == 2


@pytest.mark.parametrize('block', [(0, 1), (1, -1), (1,), (1, 1, 1), (1.0, 1), (True, 1)])
def test_bad_blocks(config, block):
    with pytest.raises(UserError, match=r'block is \(.*two integers above 0'):
        SourceTargetDataset(**config, block=block)


def test_error_in_a_worker_stays_a_user_error(config, tmp_path):
    dataset = SourceTargetDataset(config['source'])
    for image in (tmp_path / 'gta/images').iterdir():
        image.write_bytes(image.read_bytes()[:200])
    loader = DataLoader(
        dataset, 1, sampler=PositionSampler(dataset, 1), num_workers=1, collate_fn=collate_domains
    )
    with pytest.raises(UserError, match='png: the file is cut off'):
        next(iter(loader))


def positions(monkeypatch, rank, world_size, batch_size, skip=0):
    monkeypatch.setattr(source_target, 'get_dist_info', lambda: (rank, world_size))
    sampler = PositionSampler(range(5), batch_size, seed=1)
    sampler.skip(skip)
    return list(itertools.islice(sampler, 12))


def test_positions_of_ranks_make_up_one_stream(monkeypatch):
    assert positions(monkeypatch, 0, 1, 4) == list(range(12))
    ranks = [positions(monkeypatch, rank, 2, 2) for rank in range(2)]
    assert ranks[0][:6] == [0, 1, 4, 5, 8, 9] and ranks[1][:6] == [2, 3, 6, 7, 10, 11]
    whole = positions(monkeypatch, 1, 2, 3)
    assert positions(monkeypatch, 1, 2, 3, skip=6)[:6] == whole[6:]
