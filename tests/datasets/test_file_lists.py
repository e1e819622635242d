import pytest

from mmseg_uda.datasets.segmentation import build_dataset, read_list
from mmseg_uda.datasets.source_target import SourceTargetDataset
from mmseg_uda.errors import UserError
from tests.datasets.conftest import stripes, write_image, write_train_ids

PIPELINE = [dict(type='FixedResize', size=(8, 6)), dict(type='PackDomain')]


@pytest.fixture
def config(tmp_path) -> dict:
    """Three pairs of which the list has two, not in the order of their names."""
    for name in ('one', 'two', 'three'):
        write_image(tmp_path / f'game/images/{name}.png', (6, 8))
        write_train_ids(tmp_path / f'game/labels_cs/{name}.png', stripes((6, 8), [0, 18]))
    lines = [f'game/images/{name}.png game/labels_cs/{name}.png' for name in ('two', 'one')]
    (tmp_path / 'train.txt').write_text('\n'.join(lines) + '\n')
    return dict(
        type='FileListDataset',
        data_root=str(tmp_path),
        ann_file='train.txt',
        data_prefix=dict(seg_map_path=''),
        pipeline=PIPELINE,
    )


def test_pairs_in_the_order_of_the_list(config, tmp_path):
    dataset = build_dataset(config)
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    assert [info['img_path'] for info in infos] == [
        f'{tmp_path}/game/images/{name}.png' for name in ('two', 'one')
    ]
    assert infos[0]['seg_map_path'] == f'{tmp_path}/game/labels_cs/two.png'
    ((sample,), _) = SourceTargetDataset(config)[0].values()
    assert set(sample['label'].unique().tolist()) == {0, 18}


def test_without_labels(config):
    target = config | dict(data_prefix={})
    sample = SourceTargetDataset(config, target)[0]
    assert 'label' in sample['source'][0] and 'label' not in sample['target'][0]
    with pytest.raises(UserError, match='source data set has no labels'):
        SourceTargetDataset(target)


def test_other_folders(config, tmp_path):
    (tmp_path / 'train.txt').write_text('one.png one.png\n\ntwo.png two.png')
    config['data_prefix'] = dict(img_path='game/images', seg_map_path='game/labels_cs')
    assert len(build_dataset(config)) == 2


@pytest.mark.parametrize(
    ('text', 'match'),
    [
        ('game/images/one.png', r'train.txt, line 1: no label for game/images/one.png: add'),
        ('\na b c', r'train.txt, line 2: "a b c" has 3 columns .* must not contain blanks'),
        ('a.png b.png', r'1 of 1 image files are missing, first .*a.png'),
        ('game/images/one.png b.png', r'1 of 1 label files are missing, first .*b.png'),
        ('\n', 'no images'),
    ],
)
def test_bad_lists(config, tmp_path, text, match):
    (tmp_path / 'train.txt').write_text(text)
    with pytest.raises(UserError, match=match):
        build_dataset(config)


def test_missing_and_damaged_lists(config, tmp_path):
    (tmp_path / 'train.txt').write_bytes(b'\xff\xfe\n')
    with pytest.raises(UserError, match='train.txt cannot be read .*decode'):
        build_dataset(config)
    (tmp_path / 'train.txt').unlink()
    with pytest.raises(UserError, match='no list .*train.txt'):
        build_dataset(config)
    with pytest.raises(UserError, match='train.txt cannot be read .No such file'):
        read_list(tmp_path / 'train.txt')
