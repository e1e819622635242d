"""The config sets the precision of float32 arithmetic; the default is full float32."""

import pytest
import torch
from mmengine.config import Config

from benchmarks.step import build_method
from mmseg_uda.engine.config import load_config
from mmseg_uda.engine.train import build_runner
from mmseg_uda.errors import UserError
from mmseg_uda.evaluation.inference import build_segmentor
from mmseg_uda.models.precision import set_precision


@pytest.fixture(autouse=True)
def other_before():
    """Start each test with a setting that no test expects, and restore torch's afterwards."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision('medium')
    torch.backends.cudnn.allow_tf32 = True
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


def now() -> tuple[str, bool, bool]:
    backends = torch.backends
    matmul, convolution = backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32
    return torch.get_float32_matmul_precision(), matmul, convolution


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, ('highest', False, False)),
        ({'precision': 'highest'}, ('highest', False, False)),
        ({'precision': 'high'}, ('high', True, True)),
        ({'precision': 'medium'}, ('medium', True, True)),
    ],
)
def test_precision_holds_for_matrix_products_and_convolutions(options, expected):
    assert set_precision(Config(options)) == expected[0]
    assert now() == expected


@pytest.mark.parametrize('value', ['tf32', '', None, True])
def test_other_values_are_refused(value):
    with pytest.raises(UserError, match='must be one of highest, high, medium'):
        set_precision(Config({'precision': value}))


def test_training_tests_and_benchmarks_set_it(tiny_config, tmp_path):
    reference, faster = ('highest', False, False), ('high', True, True)
    options = {'precision': 'high'}

    def train(config):
        config.experiment_name = config.precision
        build_runner(config)

    def test(config):
        with pytest.raises(UserError, match='does not exist'):
            build_segmentor(config, str(tmp_path / 'none.pth'))

    for use in (train, test, lambda config: build_method(config, 'cpu')):
        use(load_config(tiny_config, options, work_dir=tmp_path))
        assert now() == faster
        use(load_config(tiny_config, work_dir=tmp_path))
        assert now() == reference
