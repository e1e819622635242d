"""Converts configs of mmseg 0.x, the format of the published DAFormer, HRDA, MIC and SePiCo models.

Only what a test needs is read: the network and the test data. Training entries (``uda``,
``optimizer``, auxiliary heads, ...) are ignored. Every entry of the network and the test data must
be supported, because an ignored one could change the metrics. Lists are accepted for tuples, which
JSON does not have.
"""

from collections.abc import Iterable
from typing import Any

from mmengine.config import Config

from mmseg_uda.config import read_config
from mmseg_uda.datasets.labels import CLASSES, PALETTE, SYNTHIA_13, SYNTHIA_16
from mmseg_uda.errors import UserError

SEGMENTORS = ('EncoderDecoder', 'EncoderDecoderProjector')
HRDA_SEGMENTORS = ('HRDAEncoderDecoder', 'MultiResEncoderDecoder')
HRDA_OPTIONS = (
    *('scales', 'hr_crop_size', 'hr_slide_inference', 'hr_slide_overlapping', 'blur_hr_crop'),
    *('feature_scale', 'crop_coord_divisible'),  # training options
)
HRDA_HEADS = ('HRDAHead', 'MultiResAttentionWrapper')
DATASETS = {
    'ACDCDataset': 'ACDCDataset',
    'CityscapesDataset': 'CityscapesDataset',
    'DarkZurichDataset': 'DarkZurichDataset',
    'GTADataset': 'GTADataset',
    'NightDrivingDataset': 'NightDrivingDataset',
    'SynthiaDataset': 'SYNTHIADataset',
}
# SePiCo's published code applies class weights to all images named *_rgb_anon.png.
NIGHT_DATASETS = ('ACDCDataset', 'DarkZurichDataset')
NIGHT_WEIGHTS = 'configs/_base_/models/night_weights.py'
# Transforms in MultiScaleFlipAug: (entries that are used, entries that are ignored).
TRANSFORMS = {
    'Resize': (['keep_ratio'], []),
    'RandomFlip': ([], ['prob', 'flip_ratio']),  # `flip` of MultiScaleFlipAug applies
    'Normalize': (['mean', 'std'], ['to_rgb']),
    'ImageToTensor': ([], ['keys']),
    'Collect': ([], ['keys', 'meta_keys']),
}
PERCEPTRON = {'type': 'mlp', 'act_cfg': None, 'norm_cfg': None}


def is_legacy(config: Config) -> bool:
    """Whether a config describes its data as mmseg 0.x does, not as mmseg 1.x."""
    return 'data' in config and 'test_dataloader' not in config


def from_legacy(config: Config) -> Config:
    """Convert what a test needs of an mmseg 0.x config to a config of this package.

    Returns:
        A config with ``model.segmentor``, ``model.data_preprocessor``, ``test_dataloader`` and
        ``test_evaluator``; ``training_crop`` is (height, width) of the source crops in pixels, or
        ``None``.

    Raises:
        UserError: an entry is missing or not supported.
    """
    old = config.to_dict()
    try:
        segmentor = _segmentor(_entry(old, 'config', 'model'))
        data = _entry(old, 'config', 'data')
        dataset, preprocessor = _dataset(_entry(data, 'data', 'test'))
        subsets = {}
        if data.get('train', {}).get('source', {}).get('type') == 'SynthiaDataset':
            subsets = dict(mIoU16=SYNTHIA_16, mIoU13=SYNTHIA_13)
        if segmentor['decode_head'].get('num_classes') == len(SYNTHIA_16):
            names, colours = ([table[i] for i in SYNTHIA_16] for table in (CLASSES, PALETTE))
            dataset['metainfo'] = dict(classes=names, palette=colours)
            subsets = dict(mIoU13=[SYNTHIA_16.index(i) for i in SYNTHIA_13])
        sepico = str(old.get('uda', {}).get('type')).startswith('SePiCo')
        if sepico and dataset['type'] in NIGHT_DATASETS:
            segmentor['test_cfg']['class_weight'] = read_config(NIGHT_WEIGHTS).test_class_weight
    except UserError as error:
        raise UserError(f'config {config.filename}: {error}') from error
    loader = dict(
        batch_size=1,
        num_workers=data.get('workers_per_gpu', 0),
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dataset,
    )
    new = dict(
        model=dict(segmentor=segmentor, data_preprocessor=preprocessor),
        test_dataloader=loader,
        test_evaluator=dict(type='SegmentationMetric', subsets=subsets),
        training_crop=_training_crop(data.get('train', {})),
    )
    return Config(new, filename=config.filename)


def _segmentor(model: dict) -> dict:
    where = 'model'
    kind = _expect(model, where, 'type', (*SEGMENTORS, *HRDA_SEGMENTORS))
    hrda = _hrda(model) if kind in HRDA_SEGMENTORS else {}
    unused = ('type', 'pretrained', 'init_cfg', 'train_cfg', 'auxiliary_head')
    if hrda:
        unused += HRDA_OPTIONS
    parts = _select(model, where, ('backbone', 'decode_head', 'neck', 'test_cfg'), unused)
    _expect(parts, where, 'neck', [None], default=None)
    read_head = _hrda_head if hrda else _decode_head
    return (
        dict(
            type='Segmentor',
            backbone=_backbone(_entry(parts, where, 'backbone')),
            decode_head=read_head(_entry(parts, where, 'decode_head')),
            test_cfg=_test_cfg(_entry(parts, where, 'test_cfg')),
        )
        | hrda
    )


def _hrda(model: dict) -> dict:
    """HRDA's inference options."""
    where = 'model'
    scales = sorted(_entry(model, where, 'scales'))
    if len(scales) != 2 or scales[1] != 1:
        raise UserError(f'{where}.scales = {scales} is not supported, only [CONTEXT, 1]')
    _expect(model, where, 'hr_slide_inference', [True], default=True)
    return dict(
        type='HRDASegmentor',
        detail_size=_tuple(_entry(model, where, 'hr_crop_size')),
        context_scale=scales[0],
        box_divisor=model.get('crop_coord_divisible', 8),
        overlap=_expect(model, where, 'hr_slide_overlapping', (True, False), default=True),
        blur_detail=_expect(model, where, 'blur_hr_crop', (True, False), default=False),
    )


def _hrda_head(head: dict) -> dict:
    where = 'model.decode_head'
    _expect(head, where, 'type', HRDA_HEADS)
    _expect(head, where, 'debug_output_attention', [False], default=False)
    names = ('attention_embed_dim', 'attention_classwise', 'fixed_attention')
    ours = ('attention_channels', *names[1:])
    unused = ('single_scale_head', 'hr_loss_weight', 'lr_loss_weight', 'debug_output_attention')
    shared = {k: v for k, v in head.items() if k not in (*names, *unused)}
    shared['type'] = _entry(head, where, 'single_scale_head')
    options = {our: head[name] for our, name in zip(ours, names, strict=True) if name in head}
    return dict(type='HRDAHead', head=_decode_head(shared), **options)


def _backbone(backbone: dict) -> dict:
    where = 'model.backbone'
    unused = ('type', 'style', 'init_cfg', 'pretrained', 'ema_drop_path_rate')
    kind = _expect(backbone, where, 'type', ['ResNetV1c', *(f'mit_b{i}' for i in range(6))])
    if kind.startswith('mit_'):
        options = _select(backbone, where, ['drop_path_rate'], unused)
        return dict(type='MiT', arch=kind.removeprefix('mit_'), **options)
    _expect(backbone, where, 'style', ['pytorch'], default='pytorch')
    names = ('depth', 'num_stages', 'out_indices', 'strides', 'dilations', 'contract_dilation')
    options = _select(backbone, where, (*names, 'norm_cfg', 'norm_eval'), unused)
    return dict(type=kind, **{name: _tuple(value) for name, value in options.items()})


def _decode_head(head: dict) -> dict:
    where = 'model.decode_head'
    kind = _expect(head, where, 'type', ('DAFormerHead', 'UniHead', 'DLV2Head'))
    unused = ('type', 'init_cfg', 'loss_decode')
    names = ['in_channels', 'in_index', 'num_classes', 'align_corners']
    if kind == 'DLV2Head':
        options = _select(head, where, [*names, 'dilations'], unused)
        return dict(type=kind, **options)
    names += ['channels', 'dropout_ratio', 'norm_cfg', 'decoder_params']
    options = _select(head, where, names, unused)
    where += '.decoder_params'
    decoder = options.pop('decoder_params', {})
    known = ('embed_dims', 'embed_cfg', 'embed_neck_cfg', 'fusion_cfg')
    decoder = _select(decoder, where, known)
    for name in ('embed_cfg', 'embed_neck_cfg'):
        _expect(decoder, where, name, [PERCEPTRON], default=PERCEPTRON)
    fusion = _fusion(_entry(decoder, where, 'fusion_cfg'), f'{where}.fusion_cfg')
    embed_dims = _entry(decoder, where, 'embed_dims')
    return dict(type='DAFormerHead', embed_dims=embed_dims, fusion=fusion, **options)


def _fusion(fusion: dict, where: str) -> str:
    """Convert a fusion config to our name of the fusion."""
    kind = _expect(fusion, where, 'type', ('aspp', 'conv'))
    common = ('type', 'act_cfg', 'norm_cfg', 'align_corners', 'fusion')
    _expect(fusion, where, 'act_cfg', [{'type': 'ReLU'}], default={'type': 'ReLU'})
    if kind == 'conv':
        _select(fusion, where, [*common, 'kernel_size'])
        _expect(fusion, where, 'kernel_size', [1])
        return 'conv1'
    _select(fusion, where, [*common, 'sep', 'dilations', 'pool'])
    _expect(fusion, where, 'dilations', [[1, 6, 12, 18]])
    _expect(fusion, where, 'pool', [False])
    return 'sep_aspp' if _expect(fusion, where, 'sep', (True, False)) else 'aspp'


def _test_cfg(test_cfg: dict) -> dict:
    known = ('mode', 'crop_size', 'stride', 'batched_slide')
    return {n: _tuple(v) for n, v in _select(test_cfg, 'model.test_cfg', known).items()}


def _dataset(dataset: dict) -> tuple[dict, dict]:
    """Return the test data set, and the data preprocessor that replaces ``Normalize``."""
    where = 'data.test'
    kind = DATASETS[_expect(dataset, where, 'type', DATASETS)]
    known = ['data_root', 'img_dir', 'ann_dir', 'split', 'img_suffix', 'seg_map_suffix', 'pipeline']
    options = _select(dataset, where, known, ('type', 'test_mode'))
    prefix = dict(img_path=_entry(options, where, 'img_dir'))
    if options.get('ann_dir'):
        prefix['seg_map_path'] = options['ann_dir']
    pipeline, preprocessor = _pipeline(_entry(options, where, 'pipeline'))
    same = _select(options, where, ('data_root', 'img_suffix', 'seg_map_suffix'), known)
    new = dict(type=kind, data_prefix=prefix, ann_file=options.get('split') or '', **same)
    return new | dict(pipeline=pipeline), preprocessor


def _pipeline(pipeline: list[dict]) -> tuple[list[dict], dict]:
    where = 'data.test.pipeline'
    if [step.get('type') for step in pipeline] != ['LoadImageFromFile', 'MultiScaleFlipAug']:
        raise UserError(f'{where} must be LoadImageFromFile, MultiScaleFlipAug')
    load, test = pipeline
    load = _select(load, where, ('type', 'to_float32', 'color_type', 'imdecode_backend'))
    where += '.MultiScaleFlipAug'
    known = ('img_scale', 'img_ratios', 'flip', 'transforms')
    test = _select(test, where, known, ['type'])
    _expect(test, where, 'img_ratios', (None, 1.0, [1.0]), default=None)
    _expect(test, where, 'flip', [False], default=False)
    scale = _entry(test, where, 'img_scale')
    if len(scale) != 2 or not all(isinstance(side, int) for side in scale):
        raise UserError(f'{where}.img_scale = {scale} must be one size [width, height]')
    preprocessor = dict(type='UDADataPreProcessor')
    resize = dict(type='Resize', scale=tuple(scale), keep_ratio=True)
    for step in _entry(test, where, 'transforms'):
        kind = _expect(step, f'{where}.transforms', 'type', TRANSFORMS)
        used, unused = TRANSFORMS[kind]
        options = _select(step, kind, used, [*unused, 'type'])
        if kind == 'Resize':
            resize |= options
        elif kind == 'Normalize':
            _expect(step, kind, 'to_rgb', [True])
            preprocessor |= {name: _tuple(_entry(options, kind, name)) for name in ('mean', 'std')}
    labels = dict(type='LoadAnnotations')
    return [load, resize, labels, dict(type='PackSegInputs')], preprocessor


def _training_crop(train: dict) -> tuple[int, int] | None:
    """(height, width) in pixels of the training crops, None if unknown."""
    pipeline = train.get('source', train).get('pipeline', ())
    crops = [step.get('crop_size') for step in pipeline if step.get('type') == 'RandomCrop']
    return _tuple(train.get('sync_crop_size') or next(iter(crops), None))


def _entry(values: dict, where: str, name: str) -> Any:
    if name not in values:
        raise UserError(f'{where} has no {name}')
    return values[name]


def _expect(
    values: dict, where: str, name: str, choices: Iterable, default: Any = UserError
) -> Any:
    """Return an entry, which must be one of ``choices``; it is required if it has no default."""
    value = _entry(values, where, name) if default is UserError else values.get(name, default)
    choices = list(choices)
    if value not in choices:
        known = ', '.join(map(repr, choices))
        raise UserError(f'{where}.{name} = {value!r} is not supported, only {known}')
    return value


def _select(
    values: dict, where: str, used: Iterable[str], unused: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the entries in ``used``; an entry in neither list is an error."""
    used = list(used)
    for name, value in values.items():
        if name not in used and name not in unused:
            raise UserError(f'{where}.{name} = {value!r} is not supported')
    return {name: values[name] for name in used if name in values}


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
