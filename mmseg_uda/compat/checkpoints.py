"""Layouts of our and of published checkpoints, and the configs stored in them."""

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import Tensor, nn

from mmseg_uda.config import with_current_options
from mmseg_uda.errors import UserError
from mmseg_uda.models.checkpoint import load_checkpoint, load_weights

NETWORKS = ('student', 'teacher', 'mic_teacher')
# Batch norm's step counter; missing in checkpoints of FADA's frozen networks.
COUNTER = 'num_batches_tracked'

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """Names of the networks' weights in the checkpoints of a code base.

    Attributes:
        origin: the code base.
        prefixes: network -> prefix of the names of its weights.
        read: content of a checkpoint -> flat state dict, or None for another layout.
        optimizer: name of the entry with the optimiser's state dict.
    """

    origin: str
    prefixes: Mapping[str, str]
    read: Callable[[Mapping[str, Any]], Weights | None]
    optimizer: str = 'optimizer'

    def select(self, content: Mapping[str, Any], network: str) -> dict[str, Tensor]:
        """Return the weights of ``network``, named as in a segmentor; empty if there are none."""
        weights, prefix = self.read(content), self.prefixes.get(network)
        if weights is None or prefix is None:
            return {}
        return {n.removeprefix(prefix): v for n, v in weights.items() if n.startswith(prefix)}


def with_current_names(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Rename entries of earlier versions of this package."""
    checkpoint = dict(checkpoint)
    if isinstance(weights := checkpoint.get('state_dict'), Mapping):
        checkpoint['state_dict'] = {_current_name(n): value for n, value in weights.items()}
    meta = checkpoint.get('meta')
    if isinstance(meta, dict) and isinstance(meta.get('config'), dict):
        checkpoint['meta'] = meta | {'config': with_current_options(meta['config'])}
    return checkpoint


def _current_name(name: str) -> str:
    """Add-ons were called parts, and AdvSeg had a single discriminator."""
    name = re.sub(r'^parts\.', 'addons.', name)
    return re.sub(r'^discriminator\.(?=conv\d\.|classifier\.)', 'discriminator.main.', name)


def _state_dict(content: Mapping[str, Any]) -> Weights:
    """State dict of a checkpoint of mmengine or mmcv, or of a bare state dict."""
    weights = content.get('state_dict', content)
    return {name.removeprefix('module.'): value for name, value in weights.items()}


def _segmentor(content: Mapping[str, Any]) -> Weights | None:
    """State dict of one segmentor, without prefix."""
    weights = _state_dict(content)
    return weights if any(name.startswith('backbone.') for name in weights) else None


def _extractor_and_classifier(content: Mapping[str, Any]) -> Weights | None:
    """One state dict from the separate ones of a backbone and a classifier."""
    networks = content.get('feature_extractor'), content.get('classifier')
    if not all(isinstance(network, Mapping) for network in networks):
        return None
    extractor, classifier = (
        {name.removeprefix('module.'): v for name, v in network.items()} for network in networks
    )
    branch = r'^conv2d_list\.(\d+)\.'
    head = {
        re.sub(branch, r'decode_head.aspp_modules.\1.conv.', n): v for n, v in classifier.items()
    }
    return extractor | head


# Names of the layers in DA-SAC's networks -> in our segmentors; the first that matches applies.
_DASAC = {
    r'^(?:model\.layer5|classifier)\.conv2d_list\.(\d+)\.': r'decode_head.aspp_modules.\1.conv.',
    r'^(?:model|features|block[123])\.': 'backbone.',
    r'^(?=vgg_head\.|score_pool[34]\.)': 'decode_head.',
}


def _dasac(content: Mapping[str, Any]) -> Weights | None:
    """The student ``backbone`` and the teacher ``slow_net`` of a snapshot of DA-SAC.

    ``score`` and ``epoch`` beside the weights and the running confidence are left out.
    """
    weights = content.get('model')
    if not isinstance(weights, Mapping):
        return None
    found = (re.fullmatch(r'module\.((?:backbone|slow_net)\.)(.+)', name) for name in weights)
    return {
        match[1] + _segmentor_name(match[2], _DASAC): weights[match[0]] for match in found if match
    }


# The same for the multi-level networks of ADVENT and CaCo.
_MULTI_LEVEL = {
    r'^layer5\.conv2d_list\.(\d+)\.': r'level_heads.aux.aspp_modules.\1.conv.',
    r'^layer6\.conv2d_list\.(\d+)\.': r'decode_head.aspp_modules.\1.conv.',
    r'^projector_1\.': 'auxiliary_head.',
    r'^': 'backbone.',
}


def _multi_level(content: Mapping[str, Any]) -> Weights | None:
    """State dict of a multi-level network, also inside the dictionary of a ``.pkl`` file."""
    if isinstance(inner := content.get('ResNet101'), Mapping):
        content = inner.get('model_state', {})
    weights = _state_dict(content)
    if not any(name.startswith('layer6.') for name in weights):
        return None
    return {_segmentor_name(name, _MULTI_LEVEL): value for name, value in weights.items()}


def _segmentor_name(name: str, names: Mapping[str, str]) -> str:
    """The name of an entry of a published network in our segmentors."""
    for published, ours in names.items():
        renamed, matches = re.subn(published, ours, name)
        if matches:
            return renamed
    return name


LAYOUTS = (
    Layout(
        'mmseg-uda',
        {
            'student': 'student.',
            'teacher': 'teacher.network.',
            'mic_teacher': 'addons.mic.teacher.network.',
        },
        lambda content: _state_dict(with_current_names(content)),
    ),
    Layout(
        'DAFormer, HRDA, MIC, CDDA, SePiCo',
        {'student': 'model.', 'teacher': 'ema_model.', 'mic_teacher': 'mic.teacher.ema_model.'},
        _state_dict,
    ),
    Layout('FADA, SDCA', {'student': ''}, _extractor_and_classifier),
    Layout('DA-SAC', {'student': 'backbone.', 'teacher': 'slow_net.'}, _dasac, optimizer='opt'),
    Layout('ADVENT, CaCo', {'student': ''}, _multi_level),
    Layout('mmseg', {'student': ''}, _segmentor),
)


def segmentor_weights(
    content: Mapping[str, Any], network: str, path: str | Path
) -> dict[str, Tensor]:
    """Return the weights of one network of a checkpoint, named as in a segmentor.

    Args:
        content: the loaded checkpoint.
        network: ``student``, ``teacher``, or ``mic_teacher`` (MIC's own teacher in methods
            without a teacher).
        path: file of the checkpoint, for messages.

    Raises:
        UserError: the checkpoint has no such network in any known layout.
    """
    for layout in LAYOUTS:
        if weights := layout.select(content, network):
            return weights
    entries = content.get('state_dict', content)
    present = sorted({name.split('.')[0] for name in entries if isinstance(name, str)})
    known = ' or '.join(filter(None, (layout.prefixes.get(network) for layout in LAYOUTS)))
    raise UserError(
        f'checkpoint {path} contains no {network}: none of its entries starts with {known} '
        f'(found: {", ".join(present[:8])})'
    )


def load_segmentor_weights(
    segmentor: nn.Module, path: str | Path, network: str = 'student'
) -> None:
    """Load one network of a checkpoint, in any of :data:`LAYOUTS`, into ``segmentor``.

    Auxiliary heads (used only in training) and step counters of batch norms may be missing in
    the checkpoint or in the segmentor.

    Args:
        segmentor: receives the weights.
        path: file of the checkpoint.
        network: see :func:`segmentor_weights`.

    Raises:
        UserError: unreadable file, no such network, or another architecture.
    """
    weights = segmentor_weights(load_checkpoint(path), network, path)
    own = segmentor.state_dict()
    counters = {name: value for name, value in own.items() if name.endswith(COUNTER)}
    weights = {n: v for n, v in weights.items() if n in counters or not n.endswith(COUNTER)}
    weights = counters | weights
    if not any(name.startswith('auxiliary_head.') for name in own):
        weights = {n: v for n, v in weights.items() if not n.startswith('auxiliary_head.')}
    load_weights(segmentor, weights, path)


def optimizer_state(path: str | Path) -> dict[str, Any]:
    """Return the state dict of the student's optimiser in a checkpoint.

    Raises:
        UserError: unreadable file, or it has no such state.
    """
    content = load_checkpoint(path)
    for layout in LAYOUTS:
        if layout.select(content, 'student'):
            state = content.get(layout.optimizer)
            if isinstance(state, Mapping) and state.get('state') and state.get('param_groups'):
                return dict(state)
    raise UserError(
        f'load_optimizer: {path} has no state of an optimiser; name a checkpoint iter_<n>.pth of a '
        'training in load_from, or set load_optimizer=False'
    )


def config_in(content: Mapping[str, Any], path: str | Path) -> Config:
    """Return the config stored in a checkpoint, without running code.

    Our checkpoints store it as plain data; those of early versions and of mmseg 1.x as the text of
    a Python config, which may contain only assignments of literal values.

    Args:
        content: the loaded checkpoint.
        path: file of the checkpoint, for messages.

    Raises:
        UserError: there is no config, or its text contains other code.
    """
    meta = content.get('meta') or {}
    config = meta.get('config', meta.get('cfg'))
    if isinstance(config, str):
        try:
            config = _values_in(config)
        except (SyntaxError, ValueError) as error:
            raise UserError(f'the config in {path} cannot be read as data: {error}') from error
    if not isinstance(config, dict):
        raise UserError(f'{path} contains no config: give the config it was trained with')
    config = with_current_options(config)
    return Config(config, cfg_text=f'# of {path}', filename=str(path))  # path is no text file


def _values_in(text: str) -> dict[str, Any]:
    """Names and values of a Python config that contains only literal values."""
    values = {}
    for node in ast.parse(text).body:
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
            raise ValueError(f'line {node.lineno} is not an assignment')
        values[node.targets[0].id] = _value(node.value)
    return values


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        return {keyword.arg: _value(keyword.value) for keyword in node.keywords}
    if isinstance(node, ast.Dict):
        return {_value(k): _value(v) for k, v in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List | ast.Tuple):
        items = [_value(item) for item in node.elts]
        return items if isinstance(node, ast.List) else tuple(items)
    return ast.literal_eval(node)
