import pytest
import torch
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS

import mmseg_uda.register  # noqa: F401
from mmseg_uda.models.data_preprocessor import DomainBatch, UDABatch


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def segmentor(drop_path_rate=0.0, dropout_ratio=0.0, norm='BN', num_classes=19) -> dict:
    """A MiT-B0 with a narrow DAFormer head."""
    norm_cfg = dict(type='GN', num_groups=4) if norm == 'GN' else dict(type='BN')
    return dict(
        type='Segmentor',
        backbone=dict(type='MiT', arch='b0', drop_path_rate=drop_path_rate),
        decode_head=dict(
            type='DAFormerHead',
            in_channels=[32, 64, 160, 256],
            in_index=[0, 1, 2, 3],
            channels=16,
            embed_dims=16,
            num_classes=num_classes,
            dropout_ratio=dropout_ratio,
            norm_cfg=norm_cfg,
        ),
    )


def hrda(detail_size=(32, 32), feature_scale='context', **options) -> dict:
    """The same network as an HRDA."""
    config = segmentor(**options)
    head = dict(type='HRDAHead', head=config['decode_head'], attention_channels=16)
    return dict(
        config,
        type='HRDASegmentor',
        decode_head=head,
        detail_size=detail_size,
        feature_scale=feature_scale,
    )


def build(method: dict):
    torch.manual_seed(0)
    return MODELS.build(method).train()


def uda_batch(size=64, images=2, seed=0) -> UDABatch:
    generator = torch.Generator().manual_seed(seed)
    draw = lambda: torch.randn(images, 3, size, size, generator=generator)  # noqa: E731
    cells = torch.randint(0, 20, (images, 4, 4), generator=generator)
    labels = cells.masked_fill(cells == 19, 255)
    labels = labels.repeat_interleave(size // 4, 1).repeat_interleave(size // 4, 2)
    return UDABatch(DomainBatch(draw(), labels), DomainBatch(draw()))
