from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from torch import Tensor

import mmseg_uda.register  # noqa: F401
from mmseg_uda.datasets.batch import DomainBatch, UDABatch, Views

# The asserts of these helpers, too, are to show their values.
pytest.register_assert_rewrite('tests.uda.steps', 'tests.uda.ranks')

MIC = dict(type='MaskedConsistency', block_size=16, alpha=0.9, threshold=0.07)
ALL_FUSION = dict(
    in_channels=[32, 64, 160, 256], in_index=[0, 1, 2, 3], input_transform='resize_concat'
)


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


def multi_level(**options) -> dict:
    """The same network with a further classifier on its third stage."""
    head = dict(type='DLV2Head', in_channels=160, in_index=2, dilations=(1, 2), num_classes=19)
    levels = dict(level_heads=dict(aux=head), level_weights=dict(aux=0.1))
    return dict(segmentor(**options), type='MultiLevelSegmentor', **levels)


def build(method: dict):
    torch.manual_seed(0)
    return MODELS.build(method).train()


def sepico(variant='dist', norm='BN', addons=None, projection=None, network=segmentor, **options):
    """SePiCo on a network with one projection of all its features."""
    config = network(norm=norm)
    norm_cfg = segmentor(norm=norm)['decode_head']['norm_cfg']
    config['auxiliary_head'] = dict(
        type='ProjectionHead', channels=16, norm_cfg=norm_cfg, **projection or ALL_FUSION
    )
    options = dict(crop_size=(32, 32), start_iteration=1, threshold=0.07) | options
    return build(
        dict(
            type='SePiCo',
            segmentor=config,
            contrast=dict(variant=variant, temperature=0.5, min_ratio=0.5, bank_size=3),
            addons=addons or {},
            **options,
        )
    )


VIEWS = torch.tensor(  # of an image: flipped, and two zooms, one of them flipped
    [
        [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
        [[-1.6, 0.0, 0.5], [0.0, 1.6, -0.25]],
        [[1.25, 0.0, -0.125], [0.0, 1.25, 0.25]],
    ]
)


def uda_batch(size=64, images=2, seed=0) -> UDABatch:
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *number: torch.randn(images, *number, 3, size, size, generator=generator)  # noqa: E731
    cells = torch.randint(0, 20, (images, 4, 4), generator=generator)
    labels = cells.masked_fill(cells == 19, 255)
    labels = labels.repeat_interleave(size // 4, 1).repeat_interleave(size // 4, 2)
    batch = UDABatch(DomainBatch(draw(), labels), DomainBatch(draw()))
    clean, geometry = draw(len(VIEWS)), VIEWS.expand(images, -1, -1, -1)
    views = dict(clean=clean, noisy=clean + 0.1 * draw(len(VIEWS)))
    batch.target.views = {name: Views(view, geometry) for name, view in views.items()}
    # A crop of the same place in the image without augmentation; its labels differ a little.
    plain = (batch.source.images + 0.1 * draw()).unsqueeze(1)
    batch.source.views = dict(
        plain=Views(plain, VIEWS[:1].expand(images, 1, -1, -1), labels.roll(4, 1).unsqueeze(1))
    )
    return batch


def every_tensor(batch: UDABatch, function: Callable[[Tensor], Tensor]) -> UDABatch:
    """``function`` of all maps of a batch and of its views, such as a move to another device."""
    return UDABatch(*(_every_tensor(domain, function) for domain in vars(batch).values()))


def _every_tensor(domain: DomainBatch, function: Callable[[Tensor], Tensor]) -> DomainBatch:
    views = {
        name: Views(*(None if value is None else function(value) for value in vars(view).values()))
        for name, view in domain.views.items()
    }
    return replace(domain.map(function), views=views)


def sepico_batch(seed=0) -> UDABatch:
    """The source is as large as a crop, the target is larger."""
    batch = uda_batch(seed=seed)
    batch.source.images = batch.source.images[..., :32, :32].contiguous()
    batch.source.labels = batch.source.labels[..., :32, :32].contiguous()
    return batch
