"""Checkpoints and configs as the original code bases wrote them, through the command line."""

import copy
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from PIL import Image

from mmseg_uda.cli.test import main
from mmseg_uda.engine.config import load_config
from mmseg_uda.engine.train import train
from mmseg_uda.errors import UserError
from mmseg_uda.evaluation.inference import build_segmentor
from tests.evaluation.tiny import IMAGES, make_tiny
from tests.golden import fill
from tests.golden.cases import read_folder

GOLDEN = Path(__file__).parents[1] / 'golden/data/sepico'
DAFORMER = GOLDEN.parent / 'daformer'
CASES = {case.name: case for folder in (GOLDEN, DAFORMER) for case in read_folder(folder)}
# Key list of a small network, the experiment whose config it is put into, what is smaller.
NETWORKS = {
    'daformer_b0': (5, dict(backbone=dict(type='mit_b0', style='pytorch')), [32, 64, 160, 256]),
    'dlv2_r50': (1, dict(), 2048),
}
# Configs of ours with the settings of published experiments.
OURS = {
    1: 'sepico_dist_dlv2_gta2cs',
    3: 'sepico_proto_dlv2_gta2cs',
    5: 'sepico_bank_mitb5_gta2cs',
    7: 'sepico_dist_dlv2_cs2dzur',
}


def published_config(experiment: int) -> dict:
    """The complete config of a published experiment."""
    return copy.deepcopy(CASES[f'experiment_{experiment}'].figure('config'))


def write_config(path: Path, config: dict) -> str:
    path.write_text(json.dumps(config))
    return str(path)


def small_config(name: str, root: Path, images: str = 'leftImg8bit/val') -> dict:
    """A published config with the small network, on the data in ``root``."""
    experiment, changes, channels = NETWORKS[name]
    config = published_config(experiment)
    config['model'].update(changes)
    for head in ('decode_head', 'auxiliary_head'):
        config['model'][head]['in_channels'] = channels
    if name == 'dlv2_r50':
        config['model']['backbone']['depth'] = 50
    config['data']['workers_per_gpu'] = 0
    config['data']['test'] |= dict(data_root=str(root), img_dir=images)
    return config


def save_training_checkpoint(path: Path, name: str, seed: int) -> str:
    """Write a checkpoint as the original training did; the teacher has other weights."""
    keys = CASES[name].content['state_dict']
    state = {
        prefix + key: torch.as_tensor(fill.fill_array(key, shape, seed + shift))
        for prefix, shift in (('model.', 0), ('ema_model.', 1))
        for key, shape, _ in keys
    }
    parameters = [key for key in state if 'running_' not in key and 'num_batches' not in key]
    group = dict(lr=6e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, amsgrad=False)
    moments = {
        index: dict(step=40000, exp_avg=torch.zeros(1), exp_avg_sq=torch.zeros(1))
        for index in range(len(parameters) // 2)
    }
    groups = [dict(group, params=[index]) for index in range(len(parameters))]
    meta = dict(
        epoch=1, iter=40000, env_info='sys.platform: linux', seed=76, exp_name=f'{name}.json',
        mmseg_version='0.16.0', config='log_config = dict()', CLASSES=('road', 'sidewalk'),
        PALETTE=[[128, 64, 128], [244, 35, 232]], hook_msgs={}, mmcv_version='1.3.7',
        time='Sat Aug 27 19:06:00 2022',
    )  # fmt: skip
    optimizer = dict(state=moments, param_groups=groups)
    torch.save(dict(meta=meta, state_dict=state, optimizer=optimizer), path)
    return str(path)


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def published(path: str | Path, training_file: str) -> str:
    """Write a checkpoint as the original publishing tool reduces it."""
    state = torch.load(training_file)['state_dict']
    torch.save({'state_dict': {k: v for k, v in state.items() if 'ema_model' not in k}}, path)
    return str(path)


@pytest.mark.parametrize('name', NETWORKS)
def test_golden_figures_from_a_published_checkpoint(float64, name, tmp_path):
    case = CASES[f'net_{name}_eval']
    images, weights = case.inputs()['image'], case.inputs()['weights']
    (tmp_path / 'images').mkdir()
    for number, image in enumerate(images):  # float pixels, which PNG cannot hold
        bgr = np.ascontiguousarray(image[::-1].transpose(1, 2, 0))
        assert cv2.imwrite(f'{tmp_path}/images/{number}.tiff', bgr)
    config = small_config(name, tmp_path, 'images')
    test = config['data']['test']
    test['img_suffix'] = '.tiff'
    test['pipeline'][0]['color_type'] = 'unchanged'
    augmentation = test['pipeline'][1]
    augmentation['img_scale'] = list(images.shape[:1:-1])
    augmentation['transforms'][2] |= dict(mean=[0.0] * 3, std=[1.0] * 3)
    config = write_config(tmp_path / 'model.json', config)
    raw = save_training_checkpoint(tmp_path / 'iter_40000.pth', name, weights.seed)

    for checkpoint in (raw, published(tmp_path / 'model.pth', raw)):
        out = tmp_path / f'labels-{Path(checkpoint).stem}'
        main([config, checkpoint, '--format-only', '--eval-options', f'imgfile_prefix={out}'])
        labels = np.stack([read(out / f'{number}.png') for number in range(len(images))])
        network = build_segmentor(load_config(config), checkpoint)
        with torch.no_grad():
            logits = network.encode_decode(torch.as_tensor(images).double())
        expected = case.figure('full_logits')
        np.testing.assert_allclose(logits[..., ::8, ::8], expected, rtol=1e-3, atol=1e-3)
        expected = case.figure('full_labels')
        assert (labels[:, ::2, ::2] != expected).mean() < 0.002
        np.testing.assert_array_equal(labels, logits.argmax(1))


def test_scores_of_student_and_teacher(tmp_path):
    root = tmp_path / 'cityscapes'
    make_tiny(root)
    config = small_config('daformer_b0', root)
    config['data']['test']['pipeline'][1]['img_scale'] = [64, 32]
    config = write_config(tmp_path / 'model.json', config)
    checkpoint = save_training_checkpoint(tmp_path / 'iter_40000.pth', 'daformer_b0', seed=0)
    scores = {}
    for network in ('student', 'teacher'):
        main([config, checkpoint, '--eval', 'mIoU', '--network', network])
        written = tmp_path / f'test-iter_40000-{network}/scores.json'
        scores[network] = json.loads(written.read_text())
        assert scores[network]['meta']['images'] == len(IMAGES)
    assert scores['student']['mIoU'] != scores['teacher']['mIoU']


@pytest.mark.parametrize('experiment', [1, 3, 5, 7])
def test_published_configs_are_ours(experiment, tmp_path):
    """Networks and test data of published configs agree with our configs of these names."""
    old = load_config(write_config(tmp_path / 'old.json', published_config(experiment)))
    new = load_config(f'configs/sepico/{OURS[experiment]}.py')
    for config in (old, new):
        config.model.segmentor.pop('auxiliary_head', None)
        config.model.segmentor.pop('class_weight', None)  # of the loss
    keys = ('type', 'data_root', 'data_prefix', 'pipeline')
    old_set, new_set = (c.test_dataloader.dataset for c in (old, new))
    assert old_set.data_root.rstrip('/') == new_set.data_root
    old_set.data_root = new_set.data_root
    assert {k: old_set[k] for k in keys} == {k: new_set[k] for k in keys}
    assert old.model.segmentor.test_cfg == new.model.segmentor.test_cfg
    networks = [MODELS.build({**c.model.segmentor, 'pretrained': None}) for c in (old, new)]
    shapes = [{k: v.shape for k, v in network.state_dict().items()} for network in networks]
    assert shapes[0] == shapes[1]
    assert str(networks[0].backbone) == str(networks[1].backbone)


def test_another_test_set(tmp_path):
    config = write_config(tmp_path / 'old.json', published_config(7))
    folder = 'configs/_base_/datasets/test_sets'
    for name, kind in (('night_driving', 'NightDrivingDataset'), ('bdd100k_night', 'BDD100KNight')):
        root = dict([('test_dataloader.dataset.data_root', 'elsewhere')])
        found = load_config(config, root, test_set=f'{folder}/{name}.py').test_dataloader.dataset
        assert found.type.startswith(kind) and found.data_root == 'elsewhere'
    with pytest.raises(UserError, match='has no test_set'):
        load_config(config, test_set='configs/_base_/default_runtime.py')


def test_synthia_is_compared_on_fewer_classes(tmp_path):
    old = published_config(1)
    old['data']['train']['source']['type'] = 'SynthiaDataset'
    config = load_config(write_config(tmp_path / 'old.json', old))
    assert {n: len(ids) for n, ids in config.test_evaluator.subsets.items()} == {
        'mIoU16': 16,
        'mIoU13': 13,
    }
    old['model']['decode_head']['num_classes'] = 16
    config = load_config(write_config(tmp_path / 'old.json', old))
    classes = config.test_dataloader.dataset.metainfo['classes']
    assert len(classes) == 16 and 'train' not in classes
    names = [classes[i] for i in config.test_evaluator.subsets['mIoU13']]
    assert len(names) == 13 and not {'wall', 'fence', 'pole'} & set(names)


@pytest.mark.parametrize(
    ('place', 'value', 'message'),
    [
        ('model.type', 'CascadeEncoderDecoder', "model.type = 'CascadeEncoderDecoder' is not"),
        ('model.backbone.type', 'ResNet', "model.backbone.type = 'ResNet'"),
        ('model.backbone.dcn', True, 'model.backbone.dcn = True'),
        ('model.neck', {'type': 'FPN'}, 'model.neck'),
        ('model.decode_head.type', 'ASPPHead', "'ASPPHead' is not supported, only 'DAFormerHead'"),
        ('model.decode_head.norm_cfg.type', 'subprocess.call', "'subprocess.call' is not the name"),
        ('model.decode_head.concat', True, 'model.decode_head.concat = True'),
        ('model.decode_head.decoder_params.fusion_cfg.type', 'isa', "fusion_cfg.type = 'isa'"),
        ('model.decode_head.decoder_params.fusion_cfg.dilations', [1, 2], 'fusion_cfg.dilations'),
        ('model.test_cfg.rescale', False, 'model.test_cfg.rescale = False'),
        ('data.test.type', 'ADE20KDataset', "data.test.type = 'ADE20KDataset'"),
        ('data.test.img_dir', None, 'data.test has no img_dir'),
        ('data.test.pipeline.1.flip', True, 'MultiScaleFlipAug.flip = True'),
        ('data.test.pipeline.1.img_ratios', [0.5, 1.0], 'img_ratios'),
        ('data.test.pipeline.1.img_scale', [[2, 1], [4, 2]], 'img_scale'),
        ('data.test.pipeline.1.transforms.2.to_rgb', False, 'Normalize.to_rgb = False'),
        ('data.test.pipeline.0.type', 'LoadImageFromNDArray', 'data.test.pipeline must be'),
    ],
)
def test_unknown_entries_are_named(place, value, message, tmp_path):
    config = published_config(5)
    *parents, leaf = place.split('.')
    node = config
    for name in parents:
        node = node[int(name) if name.isdigit() else name]
    node[leaf] = value
    if value is None:
        del node[leaf]
    with pytest.raises(UserError) as caught:
        load_config(write_config(tmp_path / 'old.json', config))
    assert message in str(caught.value) and 'old.json' in str(caught.value)


def test_daformer_and_older_names(tmp_path):
    old = published_config(5)
    head = old['model']['decode_head']
    head['type'] = 'UniHead'
    head['decoder_params']['fusion_cfg']['fusion'] = None
    old['model'] |= dict(type='EncoderDecoder', auxiliary_head=None)
    old['model']['test_cfg'] = dict(mode='slide', crop_size=[512, 512], stride=[256, 256])
    old['model']['backbone']['ema_drop_path_rate'] = 0.0
    old['uda'] = dict(type='DACS')
    segmentor = load_config(write_config(tmp_path / 'old.json', old)).model.segmentor
    assert segmentor.decode_head.fusion == 'sep_aspp'
    assert segmentor.test_cfg == dict(mode='slide', crop_size=(512, 512), stride=(256, 256))
    dark = published_config(7)
    dark['uda'] = dict(type='DACS')  # only SePiCo weights classes by night
    segmentor = load_config(write_config(tmp_path / 'old.json', dark)).model.segmentor
    assert 'class_weight' not in segmentor.test_cfg


def hrda_config(small: bool) -> dict:
    """A config in the form of HRDA's code base, with SePiCo's DAFormer network (experiment 5)."""
    config = published_config(5)
    model = config['model']
    head = dict(model['decode_head'], type='HRDAHead', single_scale_head='DAFormerHead')
    head |= dict(attention_classwise=True, hr_loss_weight=0.1)
    crop, detail = ([96, 96], [48, 48]) if small else ([1024, 1024], [512, 512])
    if small:
        width = 32
        model['backbone'] = dict(type='mit_b0', style='pytorch')
        head |= dict(in_channels=[32, 64, 160, 256], channels=width, num_classes=7)
        head |= dict(attention_embed_dim=16, decoder_params=dict(head['decoder_params']))
        head['decoder_params']['embed_dims'] = width
    model |= dict(type='HRDAEncoderDecoder', auxiliary_head=None, decode_head=head)
    model |= dict(scales=[1, 0.5], hr_crop_size=detail, feature_scale=0.5)
    model |= dict(crop_coord_divisible=8, hr_slide_inference=True)
    stride = [side // 2 for side in crop]
    model['test_cfg'] = dict(mode='slide', batched_slide=True, crop_size=crop, stride=stride)
    config['uda'] = dict(type='DACS')
    return config


def test_golden_figures_from_a_published_hrda_checkpoint(float64, tmp_path):
    case = CASES['hrda_slide_a']
    config = load_config(write_config(tmp_path / 'hrda.json', hrda_config(small=True)))
    network = MODELS.build(config.model.segmentor)
    state = case.inputs()['weights'].fill(network.state_dict())
    others = {f'ema_model.{k}': v + 1 for k, v in state.items() if 'running' in k}
    state = {f'model.{k}': torch.as_tensor(v) for k, v in state.items()} | others
    torch.save(dict(state_dict=state), tmp_path / 'latest.pth')
    network = build_segmentor(config, str(tmp_path / 'latest.pth'))
    images = torch.as_tensor(case.inputs()['image']).double()
    with torch.no_grad():
        logits = network.inference(images, [dict(ori_shape=images.shape[2:])])
    np.testing.assert_allclose(logits[..., ::4, ::4], case.figure('logits'), rtol=1e-4, atol=3e-5)


def test_hrda_configs_and_their_older_names(tmp_path):
    new = load_config('configs/hrda/hrda_mitb5_gta2cs.py').model.segmentor
    keys = {name: shape for name, shape, _ in CASES['hrda_mitb5'].content['state_dict']}
    older = hrda_config(small=False)
    older['model']['type'] = 'MultiResEncoderDecoder'
    older['model']['decode_head'] |= dict(
        type='MultiResAttentionWrapper', single_scale_head='UniHead'
    )
    for config in (hrda_config(small=False), older):
        old = load_config(write_config(tmp_path / 'old.json', config)).model.segmentor
        assert old.test_cfg == new.test_cfg and old.detail_size == new.detail_size
        with torch.device('meta'):
            network = MODELS.build(old)
        shapes = {name: list(value.shape) for name, value in network.state_dict().items()}
        assert shapes == keys


@pytest.mark.parametrize(
    ('place', 'value', 'message'),
    [
        ('scales', [0.75, 0.375], r'model.scales = \[0.375, 0.75\]'),
        ('hr_slide_inference', False, 'hr_slide_inference = False'),
        ('hr_crop_sizes', [1, 1], 'model.hr_crop_sizes'),
        ('decode_head.debug_output_attention', True, 'debug_output_attention = True'),
        ('decode_head.single_scale_head', 'ASPPHead', "'ASPPHead' is not supported"),
    ],
)
def test_unknown_entries_of_hrda_are_named(place, value, message, tmp_path):
    config = hrda_config(small=False)
    *parents, leaf = place.split('.')
    node = config['model'][parents[0]] if parents else config['model']
    node[leaf] = value
    with pytest.raises(UserError, match=message):
        load_config(write_config(tmp_path / 'old.json', config))


def test_they_serve_tests_alone(tmp_path):
    config = load_config(write_config(tmp_path / 'old.json', published_config(1)))
    with pytest.raises(UserError, match='has no train_dataloader'):
        train(config)
