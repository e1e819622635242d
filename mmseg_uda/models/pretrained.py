"""Loading of pretrained backbone weights from published files."""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

from mmengine.logging import print_log
from torch import Tensor, nn

from mmseg_uda.errors import UserError
from mmseg_uda.files import looked_in
from mmseg_uda.models.backbones.mit import MiT
from mmseg_uda.models.backbones.vgg import DilatedVGG16
from mmseg_uda.models.backbones.vgg_bn import DilatedVGG16BN, VGG16BNPools
from mmseg_uda.tensor_files import read_tensors

MIN_SHARE = 0.95
CLASSIFIERS = ('head.', 'fc.', 'classifier.', 'layer5.')  # layer5: of Caffe's DeepLab
COUNTER = 'num_batches_tracked'  # BatchNorm's step counter: not a weight, missing in older files
# Position of the fourth pool in torchvision's list of VGG-16's layers, where the backbone omits it.
REMOVED_POOL = {DilatedVGG16: 23, DilatedVGG16BN: 33, VGG16BNPools: math.inf}

# How to get the file, by type of backbone; completes "pretrained weights ... do not exist: ".
SOURCES = {
    'MiT': 'download mit_b<n>.pth (ImageNet-1k encoders) as the SegFormer project describes',
    'ResNetV1c': "download it from OpenMMLab's model zoo (third-party ResNet v1c weights)",
    'ResNet': "download resnet101-5d3b4d8f.pth, one of torchvision's model weights,",
    'CaffeResNet': (
        "download resnet101-5d3b4d8f.pth, one of torchvision's model weights, or "
        'DeepLab_resnet_pretrained_imagenet.pth, as the ADVENT project describes,'
    ),
    'DilatedVGG16': "download vgg16-00b39a1b.pth (Caffe's VGG-16, converted by J. Johnson)",
    'DilatedVGG16BN': "download vgg16_bn-6c64b313.pth, one of torchvision's model weights,",
    'VGG16BNPools': "download vgg16_bn-6c64b313.pth, one of torchvision's model weights,",
}


def load_pretrained_backbone(backbone: nn.Module, path: str | os.PathLike) -> None:
    """Load ImageNet weights into a backbone.

    Supported files:

    - SegFormer's ``mit_b<n>.pth``, licensed by NVIDIA for non-commercial use;
    - mmseg's and OpenMMLab's ``mit_b<n>_*.pth`` (``layers.*``);
    - OpenMMLab's ``resnet<n>_v1c-*.pth`` for ``ResNetV1c``, and torchvision's ``resnet<n>-*.pth``
      for mmseg's ``ResNet``;
    - ``vgg16-*.pth`` (``features.*``) for ``DilatedVGG16``, whose last two convolutions keep their
      initial weights. The Caffe-trained file needs BGR images in 0..255 minus the mean;
    - torchvision's ``vgg16_bn-*.pth`` (``features.*``) for ``DilatedVGG16BN``, whose last two
      convolutions keep their initial weights, and for ``VGG16BNPools``.

    The weights may be inside ``state_dict`` or ``model`` and have the prefixes ``module.`` and
    ``backbone.``. Entries of classifiers are ignored. Reading a file never runs code stored in it,
    see :func:`mmseg_uda.tensor_files.read_tensors`.

    Raises:
        UserError: the file is missing, holds no weights, or does not match: less than 95 % of the
            backbone's entries are in the file by name and shape, or less than 95 % of the file's
            in the backbone. VGG-16 with batch norm needs all entries.
    """
    weights = _converted(backbone, _strip_prefixes(_read(backbone, Path(path))))
    own = backbone.state_dict()
    matched = {
        name: value
        for name, value in weights.items()
        if name in own and value.shape == own[name].shape
    }
    optional = getattr(backbone, 'untrained', ())
    missing = [n for n in _without_counters(own) if n not in matched and not n.startswith(optional)]
    unexpected = [name for name in _without_counters(weights) if name not in matched]
    count = len(_without_counters(matched))
    summary = (
        f'{count} of {count + len(missing)} entries of {type(backbone).__name__} match'
        f'{_first("missing", missing)}{_first("unexpected in the file", unexpected)}'
    )
    min_share = 1 if getattr(backbone, 'complete_weights', False) else MIN_SHARE
    if count < min_share * (count + max(len(missing), len(unexpected))):
        raise UserError(
            f'{path} does not match this backbone: {summary}; set pretrained to a file of its '
            'weights, or to None to train from scratch'
        )
    backbone.load_state_dict(matched, strict=False)
    print_log(f'pretrained weights {path}: {summary}', logger='current')


def _read(backbone: nn.Module, path: Path) -> dict[str, Tensor]:
    """Read the state dict of a file."""
    if not path.is_file():
        source = SOURCES.get(type(backbone).__name__, 'get the ImageNet weights of this backbone')
        raise UserError(
            f'pretrained weights {path} do not exist{looked_in(path)}: {source} and put the file '
            'there, or set pretrained=None to train from scratch'
        )
    content = read_tensors(path, 'download it again')
    for key in ('state_dict', 'model'):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    weights = content.items() if isinstance(content, Mapping) else ()
    weights = {name: value for name, value in weights if isinstance(value, Tensor)}
    if not weights:
        raise UserError(f'{path} holds no weights; set pretrained to a state dict of the backbone')
    return weights


def _strip_prefixes(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove prefixes; if some entries have a prefix, drop the others (heads of a segmentor)."""
    for prefix in ('module.', 'Scale.', 'backbone.'):
        inside = {n.removeprefix(prefix): v for n, v in weights.items() if n.startswith(prefix)}
        weights = inside or weights
    return weights


def _converted(backbone: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the entries to those of the backbone and drop classifiers."""
    if isinstance(backbone, MiT) and any(name.startswith('layers.') for name in weights):
        weights = _mit_from_mmseg(weights)
    if type(backbone) in REMOVED_POOL:
        weights = _vgg_positions(weights, REMOVED_POOL[type(backbone)])
    return {name: value for name, value in weights.items() if not name.startswith(CLASSIFIERS)}


def _without_counters(weights: dict[str, Tensor]) -> list[str]:
    """Names of the entries that are weights."""
    return [name for name in weights if not name.endswith(COUNTER)]


# Module names below ``layers.<stage>.<child>`` in mmseg's MixVisionTransformer -> in MiT.
_EMBEDDING = {'projection': 'proj', 'norm': 'norm'}
_BLOCK = {
    'norm1': 'norm1',
    'norm2': 'norm2',
    'attn.attn.out_proj': 'attn.proj',
    'attn.sr': 'attn.sr',
    'attn.norm': 'attn.norm',
    'ffn.layers.0': 'mlp.fc1',
    'ffn.layers.1': 'mlp.dwconv.dwconv',
    'ffn.layers.4': 'mlp.fc2',
}


def _mit_from_mmseg(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convert mmseg's MixVisionTransformer: split query from key-value, flatten 1x1 convolutions.

    A stage has three children: 0 is the patch embedding, 1 the blocks, 2 the norm.
    """
    renamed = {}
    for name, value in weights.items():
        match = re.fullmatch(r'layers\.(\d)\.(\d)\.(?:(\d+)\.)?(?:(.+)\.)?(\w+)', name)
        if match is None:
            renamed[name] = value
            continue
        stage, child, block, module, entry = match.groups()
        number = int(stage) + 1
        if child == '0' and module in _EMBEDDING:
            renamed[f'patch_embed{number}.{_EMBEDDING[module]}.{entry}'] = value
        elif child == '1' and module in _BLOCK:
            linear = module in ('ffn.layers.0', 'ffn.layers.4') and value.dim() == 4
            value = value.flatten(1) if linear else value
            renamed[f'block{number}.{block}.{_BLOCK[module]}.{entry}'] = value
        elif child == '1' and module == 'attn.attn' and entry.startswith('in_proj_'):
            kind = entry.removeprefix('in_proj_')
            dim = len(value) // 3
            renamed[f'block{number}.{block}.attn.q.{kind}'] = value[:dim]
            renamed[f'block{number}.{block}.attn.kv.{kind}'] = value[dim:]
        elif child == '2' and module is None:
            renamed[f'norm{number}.{entry}'] = value
        else:
            renamed[name] = value
    return renamed


def _vgg_positions(weights: dict[str, Tensor], removed_pool: float) -> dict[str, Tensor]:
    """Rename ``features.<n>.*`` to ``<n>.*``; positions after a removed pool move up by one."""
    kept = {}
    for name, value in weights.items():
        if match := re.fullmatch(r'features\.(\d+)\.(\w+)', name):
            position = int(match[1])
            name = f'{position - (position > removed_pool)}.{match[2]}'
        kept[name] = value
    return kept


def _first(what: str, names: list[str], count: int = 3) -> str:
    """Format ', 5 missing: a, b, c, ...', or nothing if there are no names."""
    dots = ', ...' if len(names) > count else ''
    return f', {len(names)} {what}: {", ".join(names[:count])}{dots}' if names else ''
