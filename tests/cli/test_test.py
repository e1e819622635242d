import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_uda.cli.test import main
from mmseg_uda.datasets.labels import TRAIN_TO_CITYSCAPES
from mmseg_uda.engine.config import load_config
from mmseg_uda.errors import UserError
from mmseg_uda.evaluation.inference import build_segmentor
from mmseg_uda.evaluation.modes import set_inference_mode, training_crop
from mmseg_uda.models.losses import upscale
from tests.evaluation.tiny import (
    IMAGES,
    SIZE,
    image_path,
    label_path,
    loop_scores,
    make_tiny,
    network_weights,
)
from tests.precision import double_precision

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    root = tmp_path_factory.mktemp('cityscapes')
    return root, *map(str, make_tiny(root))


@pytest.fixture
def own_tiny(tmp_path):
    """Like ``tiny``, but tests may damage it."""
    return tmp_path, *map(str, make_tiny(tmp_path))


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_scores_are_those_of_the_written_predictions(tiny, tmp_path, capsys):
    root, config, checkpoint = tiny
    shown, scored = tmp_path / 'shown', tmp_path / 'scored'
    main(
        [config, checkpoint, '--eval', 'mIoU', '--out-dir', str(scored)]
        + ['--show-dir', str(shown), '--opacity', '1']
    )
    pairs = [
        (read(shown / f'{Path(name).name}_leftImg8bit.png'), read(label_path(root, name)))
        for name in IMAGES
    ]
    expected = 100 * np.array(loop_scores(pairs, 19))
    report = json.loads((scored / 'scores.json').read_text())
    found = [row['IoU'] for row in report['classes'].values()]
    np.testing.assert_allclose(np.array(found, float), expected, rtol=1e-9)
    assert report['mIoU'] == pytest.approx(np.nanmean(expected))
    assert report['mIoU2'] == pytest.approx(np.mean(expected[:2]))
    assert report['meta']['checkpoint'] == checkpoint and report['meta']['images'] == 3
    assert report['meta']['network'] == 'student'
    assert {str(scored / 'scores.json'), str(shown)} <= set(capsys.readouterr().out.split())
    assert (scored / 'scores.csv').is_file()


def test_scores_go_beside_the_checkpoint(own_tiny):
    root, config, checkpoint = own_tiny
    for network in ('student', 'teacher'):
        main([config, checkpoint, '--eval', 'mIoU', '--network', network])
    student, teacher = (
        json.loads((root / f'test-iter_1-{network}' / 'scores.json').read_text())
        for network in ('student', 'teacher')
    )
    assert student['mIoU'] != teacher['mIoU']


def test_scores_of_other_settings_are_not_overwritten(own_tiny, tmp_path):
    root, config, checkpoint = own_tiny
    command = [config, checkpoint, '--eval', 'mIoU']
    main(command)
    scores = root / 'test-iter_1-student/scores.json'
    for options, message in (
        (['--flip'], 'flip: False -> True'),
        (['--scales', '0.5'], r'scales: \[1.0\] -> \[0.5\]'),
        (['--inference-mode', 'whole'], "inference_mode: 'same' -> 'whole'"),
        (['--aug-test'], 'aug_test: False -> True'),
        (
            ['--cfg-options', 'test_dataloader.batch_size=1'],
            'cfg_options.test_dataloader.batch_size',
        ),
    ):
        before = scores.read_bytes()
        with pytest.raises(UserError, match=f'test-iter_1-student holds scores .*{message}'):
            main([*command, *options])
        assert scores.read_bytes() == before
    main([*command, '--flip', '--work-dir', str(tmp_path / 'flipped')])
    other = Path(config).with_name('other.py')
    other.write_bytes(Path(config).read_bytes())
    with pytest.raises(UserError, match="config: 'config.py' -> 'other.py'"):
        main([str(other), *command[1:]])
    network = torch.load(checkpoint, weights_only=True)
    torch.save(network | {'more': 1}, checkpoint)
    with pytest.raises(UserError, match='checkpoint_sha256'):
        main(command)


def test_scores_of_the_same_settings_are_replaced(own_tiny):
    root, config, checkpoint = own_tiny
    command = [config, checkpoint, '--eval', 'mIoU', '--work-dir', str(root / 'out')]
    main(command)
    first = json.loads((root / 'out/scores.json').read_text())
    del first['meta']['checkpoint_sha256'], first['schema']  # as written by earlier versions
    (root / 'out/scores.json').write_text(json.dumps(first))
    main([*command, '--cfg-options', 'test_dataloader.num_workers=1'])
    second = json.loads((root / 'out/scores.json').read_text())
    assert second['mIoU'] == first['mIoU'] and second['schema'] == 1


def test_export_needs_no_labels(own_tiny, tmp_path):
    root, config, checkpoint = own_tiny
    for name in IMAGES:
        label_path(root, name).unlink()
    args = [config, checkpoint, '--format-only', '--eval-options', f'imgfile_prefix={tmp_path}/out']
    main(args)
    name = f'{Path(IMAGES[0]).name}_leftImg8bit.png'
    train_ids = read(tmp_path / 'out' / name)
    assert train_ids.shape == SIZE and len(list((tmp_path / 'out').iterdir())) == len(IMAGES)
    main([*args, 'to_label_id=True'])
    label_ids = np.vectorize(TRAIN_TO_CITYSCAPES.get)(train_ids)
    np.testing.assert_array_equal(read(tmp_path / 'out' / name), label_ids)


def test_loader_workers_and_config_overrides(tiny, tmp_path):
    _, config, checkpoint = tiny
    main(
        [config, checkpoint, '--show-dir', str(tmp_path)]
        + ['--cfg-options', 'test_dataloader.num_workers=1']
        + ['test_dataloader.dataset.data_prefix.img_path=leftImg8bit/val/bonn']
    )
    assert [path.name for path in tmp_path.iterdir()] == ['bonn_0_leftImg8bit.png']
    assert read(tmp_path / 'bonn_0_leftImg8bit.png').shape == (*SIZE, 3)


@pytest.fixture(scope='module')
def tiny_hrda(tmp_path_factory):
    """Like ``tiny``, with an HRDA network."""
    root = tmp_path_factory.mktemp('cityscapes')
    config, checkpoint = make_tiny(root)
    head = "decode_head=dict(\n            type='DAFormerHead'"
    shared = "decode_head=dict(type='HRDAHead', attention_channels=8, head=dict(type='DAFormerHead'"
    text = config.read_text().replace("type='Segmentor'", "type='HRDASegmentor'")
    text = text.replace(head, shared).replace('num_classes=19,\n        ),', 'num_classes=19)),')
    text = text.replace('test_cfg=', 'detail_size=(64, 64), test_cfg=')
    config.write_text(text.replace('scale=(96, 48)', 'scale=(256, 128)'))
    weights = network_weights(config, 0)
    torch.save({'state_dict': {f'student.{k}': v for k, v in weights.items()}}, checkpoint)
    return root, str(config), str(checkpoint)


def test_outputs_of_hrda(tiny_hrda, tmp_path):
    _, config, checkpoint = tiny_hrda
    folders = {}
    for output in ('fused', 'LR', 'HR', 'ATT'):
        folders[output] = tmp_path / output
        chosen = [] if output == 'fused' else ['--hrda-out', output]
        main([config, checkpoint, '--show-dir', str(folders[output]), '--opacity', '1', *chosen])
    names = [f'{Path(name).name}_leftImg8bit.png' for name in IMAGES]
    pictures = {o: [read(folder / name) for name in names] for o, folder in folders.items()}
    for first, second in (('fused', 'LR'), ('fused', 'HR'), ('LR', 'HR')):
        pairs = zip(pictures[first], pictures[second], strict=True)
        assert any((a != b).any() for a, b in pairs)
    assert all(p.shape == SIZE and p.dtype == np.uint8 for p in pictures['ATT'])
    assert all(0 < p.mean() < 255 and p.std() > 0 for p in pictures['ATT'])


def test_hrda_outputs_need_hrda(tiny):
    _, config, checkpoint = tiny
    with pytest.raises(UserError, match='--hrda-out is for HRDA, model.segmentor is a Segmentor'):
        main([config, checkpoint, '--eval', 'mIoU', '--hrda-out', 'LR'])


@pytest.mark.parametrize('network', ['tiny', pytest.param('tiny_hrda', marks=pytest.mark.slow)])
def test_augmented_predictions(network, request, tmp_path):
    root, config, checkpoint = request.getfixturevalue(network)
    arguments = [config, checkpoint, '--show-dir', str(tmp_path), '--opacity', '1', '--aug-test']
    arguments += ['--eval', 'mIoU', '--work-dir', str(tmp_path / 'scores')]
    arguments += ['--cfg-options', 'test_dataloader.dataset.pipeline.1.scale=256,128']
    with double_precision():
        main(arguments)
        expected = augmented_prediction(root, config, checkpoint)
    name = f'{Path(IMAGES[0]).name}_leftImg8bit.png'
    found = read(tmp_path / name)
    assert found.shape == SIZE
    meta = json.loads((tmp_path / 'scores/scores.json').read_text())['meta']
    assert meta['aug_test'] is True and meta['images'] == len(IMAGES)
    np.testing.assert_array_equal(found, expected)


def augmented_prediction(root: Path, config: str, checkpoint: str) -> np.ndarray:
    """Train ids of the first image from the mean over scales and flips, written as plain loops."""
    import cv2

    network = build_segmentor(load_config(config), checkpoint)
    image = cv2.imread(str(image_path(root, IMAGES[0])))
    total = 0
    for scale in (0.5, 0.75, 1, 1.25, 1.5, 1.75):
        size = int(256 * scale), int(128 * scale)
        view = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        view = torch.tensor(view.transpose(2, 0, 1)[::-1].copy()).float()
        preprocessor = network.data_preprocessor
        view = ((view - preprocessor.mean) / preprocessor.std)[None]
        with torch.no_grad():
            for flip in (False, True):
                logits = network.encode_decode(view.flip(3) if flip else view)
                logits = upscale(logits.flip(3) if flip else logits, SIZE)
                total = total + logits.softmax(1)
    return total.argmax(1)[0].numpy()


def test_modes_of_inference(tiny, tmp_path):
    _, path, checkpoint = tiny
    config = load_config(path)
    set_inference_mode(config, 'same')
    assert config.model.segmentor.test_cfg == dict(mode='whole')
    with pytest.raises(UserError, match='uses the crop size of training'):
        set_inference_mode(config, 'slide')
    source = dict(pipeline=[dict(type='LabelFirstCrop', crop_size=(24, 40))])
    dataset = dict(source=[source, source])
    assert training_crop(Config(dict(train_dataloader=dict(dataset=dataset)))) == (24, 40)
    config.training_crop = (32, 48)
    kept = dict(class_weight=[1.0] * 19, probabilities=True, level_factors=dict(aux=0.5))
    config.model.segmentor.test_cfg.update(kept, direct=True)
    set_inference_mode(config, 'slide')
    slide = dict(mode='slide', crop_size=(32, 48), stride=(16, 24), **kept)
    assert config.model.segmentor.test_cfg == slide
    set_inference_mode(config, 'whole')
    assert config.model.segmentor.test_cfg == dict(mode='whole', **kept)
    main([path, checkpoint, '--show-dir', str(tmp_path), '--inference-mode', 'whole'])
    ours = load_config('configs/hrda/hrda_mitb5_gta2cs.py')
    before = dict(ours.model.segmentor.test_cfg)
    set_inference_mode(ours, 'slide')
    assert ours.model.segmentor.test_cfg == before


def test_the_test_split_replaces_folders_called_val_alone(tiny):
    root, config, _ = tiny
    options = {'test_dataloader.dataset.data_root': '/val'}
    dataset = load_config(config, options, test_set='test').test_dataloader.dataset
    assert dataset.data_prefix == dict(img_path='leftImg8bit/test', seg_map_path='gtFine/test')
    assert dataset.data_root == '/val'
    path = 'configs/hrda/hrda_mitb5_cs2dzur.py'
    dataset = load_config(path, test_set='test').test_dataloader.dataset
    assert dataset.data_prefix.img_path == 'rgb_anon/test/night'
    text = Path(config).read_text().replace('leftImg8bit/val', 'images/validation')
    other = root / 'other.py'
    other.write_text(text)
    with pytest.raises(UserError, match='images/validation, has no folder val'):
        load_config(other, test_set='test')


def test_a_submission_of_the_test_split(own_tiny, tmp_path):
    root, config, checkpoint = own_tiny
    (root / 'leftImg8bit/val').rename(root / 'leftImg8bit/test')
    out = tmp_path / 'labelTrainIds'
    main(
        [config, checkpoint, '--test-set', '--format-only', '--eval-options']
        + [f'imgfile_prefix={out}', 'to_label_id=False']
    )
    assert len(list(out.iterdir())) == len(IMAGES)


def test_missing_label_is_named(own_tiny):
    root, config, checkpoint = own_tiny
    label_path(root, IMAGES[1]).unlink()
    with pytest.raises(UserError, match='aachen_1_gtFine_labelTrainIds.png'):
        main([config, checkpoint, '--eval', 'mIoU'])


def test_wrong_data_root_is_named(tiny):
    _, config, checkpoint = tiny
    override = 'test_dataloader.dataset.data_root=/no/such/root'
    with pytest.raises(UserError, match='/no/such/root'):
        main([config, checkpoint, '--eval', 'mIoU', '--cfg-options', override])


@pytest.mark.parametrize('workers', [0, 1])
def test_truncated_image_is_named(own_tiny, workers):
    root, config, checkpoint = own_tiny
    image = image_path(root, IMAGES[1])
    image.write_bytes(image.read_bytes()[:100])
    override = f'test_dataloader.num_workers={workers}'
    with pytest.raises(UserError) as caught:
        main([config, checkpoint, '--eval', 'mIoU', '--cfg-options', override])
    assert str(image) in str(caught.value) and '\n' not in str(caught.value)


def test_checkpoint_of_another_architecture(tiny):
    _, config, checkpoint = tiny
    override = 'model.segmentor.decode_head.channels=16'
    with pytest.raises(UserError, match='does not fit'):
        main([config, checkpoint, '--eval', 'mIoU', '--cfg-options', override])


@pytest.mark.parametrize('key', ['model.segmentor', 'test_dataloader.dataset', 'test_evaluator'])
def test_unknown_config_key_is_named(tiny, tmp_path, key):
    _, config, checkpoint = tiny
    with pytest.raises(UserError, match='no_such_key'):
        main(
            [config, checkpoint, '--eval', 'mIoU', '--out-dir', str(tmp_path)]
            + ['--cfg-options', f'{key}.no_such_key=1']
        )


def test_number_of_classes_must_agree(own_tiny):
    root, config, checkpoint = own_tiny
    dataset = "type='CityscapesDataset',"
    two = f"{dataset} metainfo=dict(classes=('road', 'sky')),"
    Path(config).write_text(Path(config).read_text().replace(dataset, two))
    with pytest.raises(UserError, match='19 classes, the test set 2'):
        main([config, checkpoint, '--show-dir', str(root / 'shown')])


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'nothing to do'),
        (['--eval', 'mDice'], 'invalid choice'),
        (['--eval', 'mIoU', '--out', 'x.pkl'], '--out x.pkl: such result files are not written'),
        (['--eval', 'mIoU', '--work', 'x'], 'unrecognized arguments: --work x'),
        (['--eval', 'mIoU', '--format-only'], 'choose one'),
        (['--format-only'], 'imgfile_prefix=DIR'),
        (['--format-only', '--eval-options', 'prefix=x'], '--eval-options prefix=x'),
        (['--format-only', '--eval-options', 'imgfile_prefix=x', 'to_label_id=2'], 'True or False'),
        (['--eval', 'mIoU', '--eval-options', 'imgfile_prefix=x'], 'are for --format-only'),
        (['--show-dir', 'x', '--opacity', '1.5'], 'opacity is 1.5'),
        (['--eval', 'mIoU', '--hrda-out', 'ATT'], 'use it with --show-dir only'),
        (
            ['--show-dir', 'x', '--hrda-out', 'ATT', '--aug-test'],
            'remove --aug-test, --scales',
        ),
        (['--eval', 'mIoU', '--aug-test', '--flip'], 'remove --scales and --flip'),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(['config.py', 'checkpoint.pth', *arguments])
    assert caught.value.code == 2 and message in capsys.readouterr().err


class Poison:
    def __reduce__(self):
        return Path.touch, (Path('poisoned'),)


def test_poisoned_checkpoint_is_refused_and_does_not_run(tiny, tmp_path):
    torch.save({'state_dict': Poison()}, tmp_path / 'poison.pth')
    ran = subprocess.run(
        [
            sys.executable,
            ROOT / 'tools/test.py',
            tiny[1],
            tmp_path / 'poison.pth',
            '--eval',
            'mIoU',
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1].startswith(f'error: {tmp_path}/poison.pth is not loaded')
    assert not (tmp_path / 'poisoned').exists()


@pytest.mark.parametrize('tool', ['test', 'infer'])
def test_help_is_light(tool):
    code = (
        f'import sys, mmseg_uda.cli.{tool} as tool\n'
        'try:\n    tool.main(["--help"])\n'
        'except SystemExit as end:\n    assert not end.code\n'
        'assert not {"torch", "mmseg"} & sys.modules.keys()'
    )
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True, capture_output=True)
