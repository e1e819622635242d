"""Our mean IoU is that of Cityscapes' own pixel-level tool on our exported label ids."""

import json
import types

import numpy as np
import pytest

from mmseg_uda.cli import test as tools_test
from mmseg_uda.datasets.labels import CITYSCAPES_TO_TRAIN, CLASSES, IGNORE
from tests.evaluation.tiny import IMAGES, SIZE, image_path, label_path, make_tiny, write_png

tool = pytest.importorskip(
    'cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling',
    reason="needs cityscapesscripts: pip install 'mmseg-uda[cityscapes]'",
)


def test_both_tools_agree(tmp_path, monkeypatch):
    config, checkpoint = make_tiny(tmp_path)
    rng = np.random.default_rng(1)
    for name in IMAGES:
        ids = rng.integers(0, 34, SIZE, dtype=np.uint8)  # ignored ones too
        ids[:, :16] = 33
        raw = label_path(tmp_path, name).with_name(f'{image_path(tmp_path, name).stem}_raw.png')
        write_png(raw, ids)
        table = np.full(256, IGNORE, np.uint8)
        table[:34] = [CITYSCAPES_TO_TRAIN[label_id] for label_id in range(34)]
        write_png(label_path(tmp_path, name), table[ids])
    out = tmp_path / 'label_ids'
    command = [str(config), str(checkpoint)]
    tools_test.main([*command, '--eval', 'mIoU', '--work-dir', str(tmp_path / 'ours')])
    options = ['--eval-options', f'imgfile_prefix={out}', 'to_label_id=True']
    tools_test.main([*command, '--format-only', *options])

    predictions = sorted(out.rglob('*.png'))
    truths = sorted(tmp_path.glob('gtFine/val/*/*_raw.png'))
    assert len(predictions) == len(truths) == len(IMAGES)
    settings = types.SimpleNamespace(**vars(tool.args))
    settings.quiet, settings.JSONOutput, settings.evalInstLevelScore = True, False, False
    theirs = tool.evaluateImgLists([*map(str, predictions)], [*map(str, truths)], settings)
    ours = json.loads((tmp_path / 'ours/scores.json').read_text())
    assert 100 * theirs['averageScoreClasses'] == pytest.approx(ours['mIoU'], abs=1e-6)
    for name in CLASSES:
        found, expected = ours['classes'][name]['IoU'], 100 * theirs['classScores'][name]
        assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)
