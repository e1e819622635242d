"""SDCA: networks, losses, class distributions, complete training steps."""

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.models.data_preprocessor import DomainBatch, UDABatch
from mmseg_uda.models.discriminator import Discriminator
from mmseg_uda.models.losses import lovasz_softmax, segmentation_loss, upscale
from mmseg_uda.uda.class_statistics import ClassStatistics
from mmseg_uda.uda.contrast_losses import semantic_loss
from mmseg_uda.uda.method import UDAMethod
from mmseg_uda.uda.pseudo_labels import confident_labels
from mmseg_uda.uda.reduce_labels import nearest_labels
from mmseg_uda.uda.semantic_distributions import ENTRIES, FILES, SemanticDistributions

from ..cases import Case, UnknownCase
from ..expressions import evaluate
from ..fill import fill_array
from ..networks import layout
from . import Results, family
from .optim import optim_wrapper, rates_at

CONFIGS = Path(__file__).parents[3] / 'configs' / '_base_'
NETWORKS = {
    'resnet101_frozenbn': 'sdca_r101',
    'resnet101_bn': 'sdca_r101_bn',
    'vgg16': 'sdca_vgg16',
}


def segmentor_config(network: str, **settings: Any) -> dict:
    """Our config of the published ``vgg16``, ``resnet101_bn`` or ``resnet101_frozenbn``."""
    if network not in NETWORKS:
        raise UnknownCase(f'no network known here is called {network!r}')
    config = Config.fromfile(CONFIGS / 'models' / f'{NETWORKS[network]}.py').segmentor.to_dict()
    classes = settings.pop('num_classes')
    return {**config, 'pretrained': None, **settings} | {
        'decode_head': {**config['decode_head'], 'num_classes': classes}
    }


def network_of(params: dict) -> str:
    """The published network that a stage's configuration uses."""
    if 'vgg' in params['config']:
        return 'vgg16'
    frozen = params.get('freeze_bn', 'ssl' not in params['config'])
    return 'resnet101_frozenbn' if frozen else 'resnet101_bn'


def published_name(name: str) -> str:
    return re.sub(r'^decode_head\.aspp_modules\.(\d+)\.conv\.', r'conv2d_list.\1.', name)


def filled(network: nn.Module, seed: int) -> nn.Module:
    """``network`` with weights filled by the published names."""
    state = {
        name: torch.as_tensor(fill_array(published_name(name), entry.shape, seed)).to(entry.dtype)
        for name, entry in network.state_dict().items()
    }
    network.load_state_dict(state)
    return network


def described(text: str) -> np.ndarray:
    """The array of ``|2 * image(...)|, rows [3, 7] set to 0``, of ``labels(...).reshape(-1)``..."""
    text = text.split('; step t uses')[0].strip()
    if constant := re.fullmatch(r'(\d+) times (\d+)', text):
        return np.full(int(constant[1]), int(constant[2]))
    text, _, zero = text.partition(', rows ')
    text = re.sub(r'\|(.+)\|', r'abs(\1)', text).replace('dim=', 'axis=')
    value = evaluate(text.removesuffix('.reshape(-1)'))
    if zero:
        value = value.copy()
        value[json.loads(zero.removesuffix(' set to 0'))] = 0
    return value.reshape(-1) if text.endswith('.reshape(-1)') else value


def inputs(case: Case) -> dict[str, Tensor]:
    texts = {name: text for name, text in case.inputs.items() if name != 'statistics'}
    return {name: torch.as_tensor(described(text)) for name, text in texts.items()}


def as_map(rows: Tensor) -> Tensor:
    """Rows (N, A) as a map (1, A, N, 1)."""
    return rows.T[None, :, :, None]


# --- networks ---------------------------------------------------------------------------------


@family('sdca', 'net_')
def whole_network(case: Case) -> Results:
    name = Path(case.entry['file']).stem.removeprefix('net_')
    network = MODELS.build(segmentor_config(name, num_classes=case.params['num_classes']))
    check_layout(network, case.folder / f'{name}.keys.json')
    filled(network, case.params['seed'])
    network.train(case.params.get('module_mode') == 'train')
    (images,) = inputs(case).values()
    if not network.training or name != 'resnet101_bn':
        return network_results(case, network, images)
    # Batch statistics over few cells, layer after layer, amplify rounding: measured here.
    exact = network_results(case, filled(network, case.params['seed']).double(), images.double())
    results = network_results(case, filled(network.float(), case.params['seed']), images)
    noise = {f'noise.{k}': np.abs(results[k] - exact[k]) for k in case.outputs}
    return results | noise


def network_results(case: Case, network: nn.Module, images: Tensor) -> Results:
    results: Results = {}

    def record(name: str) -> Any:
        def hook(module: nn.Module, arguments: tuple, output: Tensor) -> None:
            results[f'{name}_channel_mean'] = output.mean(dim=(0, 2, 3)).numpy()
            results[f'{name}_shape'] = np.array(output.shape)

        return hook

    for name in {key.split('_')[0] for key in case.outputs if key.endswith('_shape')}:
        path = name.removeprefix('layer') if 'vgg' in case.name else name
        network.backbone.get_submodule(path).register_forward_hook(record(name))
    with torch.no_grad():
        (features,) = network.features(images)
        logits = network.decode([features])
        full = upscale(logits, images.shape[2:], network.align_corners)
    for key in case.outputs:
        if key.startswith('after.'):
            results[key] = network.state_dict()[key.removeprefix('after.')].numpy().copy()
    results |= {
        'features_every32ch': features[:, ::32].numpy(),
        'features_mean': features.mean().numpy(),
        'features_std': features.std().numpy(),
        'features_abs_sum': features.abs().sum().numpy(),
        'features_channel_mean': features.mean(dim=(0, 2, 3)).numpy(),
        'logits': logits.numpy(),
        'logits_upsampled_every4px': full[..., ::4, ::4].numpy(),
    }
    return results


def check_layout(network: nn.Module, path: Path) -> None:
    """Names, shapes and order of the state dict, and which parameters are trained."""
    if not path.is_file():
        return
    published = json.loads(path.read_text())
    ours = [[published_name(name), shape] for name, shape in layout(network)]
    assert ours == [*published['model']['feature_extractor'], *published['model']['classifier']]
    trained = {published_name(name) for name, p in network.named_parameters() if p.requires_grad}
    names = published['trainable_feature_extractor'], published['trainable_classifier']
    if isinstance(names[0], list):
        assert trained == {*names[0], *names[1]}


# --- distributions and losses -----------------------------------------------------------------


@family('sdca', 'estimator')
def estimator(case: Case) -> Results:
    classes = ClassStatistics(case.params['num_classes'], case.params['feature_num'])
    start(classes, case.inputs['initial_state'])
    results = {}
    for number, step in enumerate(case.inputs['steps']):
        features, labels = re.match(r'step \d+: features = (.+); labels = (.+)', step).groups()
        labels = torch.as_tensor(described(labels))[None, :, None]
        classes.update(as_map(torch.as_tensor(described(features))), labels)
        results |= statistics_results(classes, f'step{number}.')
    return results


def start(classes: ClassStatistics, text: str) -> None:
    """Set the state that ``Mean=...; CoVariance=...; Amount[i] = ...`` describes."""
    if text.startswith(('all zero', 'none')):
        return
    for part in re.split(r'[;,] (?=CoVariance|Amount)', text):
        name, _, value = part.partition('=')
        if name.startswith('Amount'):
            numbers = range(len(classes.count))
            modulo = re.search(r'0 if i % (\d+) == (\d+) else', value)
            factor = int(re.search(r'(\d+) ?\* ?\(i ?\+ ?1\)', value)[1])
            empty = [modulo and i % int(modulo[1]) == int(modulo[2]) for i in numbers]
            amount = [0 if none else factor * (i + 1) for i, none in enumerate(empty)]
            classes.count.copy_(torch.tensor(amount))
        else:
            getattr(classes, ENTRIES[name.strip()]).copy_(torch.as_tensor(described(value)))


def statistics_results(classes: ClassStatistics, prefix: str = '') -> Results:
    return {
        f'{prefix}{published}': getattr(classes, own).clone() for published, own in ENTRIES.items()
    }


@family('sdca', 'loss')
def contrast(case: Case) -> Results:
    given = inputs(case)
    results = {}
    for dtype, suffix in ((torch.float32, ''), (torch.float64, '_f64')):
        features = given['feat'].detach().to(dtype).requires_grad_()
        mean, variance = (given[name].to(dtype) for name in ('Mean', 'CoVariance'))
        labels = given['labels'][None, :, None]
        loss = semantic_loss(as_map(features), labels, mean, variance, case.params['TAU'])
        loss.backward()
        results[f'loss{suffix}'] = loss
    return results | {'grad_times_1e6_f64': 1e6 * features.grad}


@family('sdca', 'lovasz')
def lovasz(case: Case) -> Results:
    given = inputs(case)
    results = {}
    for dtype, suffix in ((torch.float32, ''), (torch.float64, '_f64')):
        logits = given['logits'].detach().to(dtype).requires_grad_()
        loss = lovasz_softmax(logits, given['labels'])
        loss.backward()
        entropy, _ = segmentation_loss(logits, given['labels'], average='valid')
        results |= {f'loss{suffix}': loss, f'ce{suffix}': entropy}
    return results | {'grad_logits_times_1e3_f64': 1e3 * logits.grad}


@family('sdca', r'masks\.source')
def source_mask(case: Case) -> Results:
    return {'mask': nearest_labels(inputs(case)['labels'], tuple(case.params['size']))}


@family('sdca', r'masks\.target')
def target_mask(case: Case) -> Results:
    return {'mask': confident_labels(inputs(case)['logits'], case.params['DELTA'])}


@family('sdca', 'schedule')
def schedule(case: Case) -> Results:
    params = case.params
    iterations = [int(i) for i in case.array(f'{case.entry["name"]}.in.iterations')]
    rows = rates_at(iterations, [params['base_lr']], {**params, 'max_iters': params['max_iter']})
    return {'lr_times_1e4': [1e4 * rate for (rate,) in rows]}


@family('sdca', 'dist_init')
def initial_distributions(case: Case) -> Results:
    given, params = inputs(case), case.params
    classes = case.outputs['out.Amount'].expected.size
    network = MODELS.build(segmentor_config(network_of(params), num_classes=classes))
    filled(network, params['seed']).eval()
    distributions = SemanticDistributions.of(network)
    with torch.no_grad():
        for image, label in zip(given['images'], given['labels'], strict=True):
            (features,) = network.features(image[None])
            maps = {'feat': features, 'out': network.decode([features])}
            distributions.update(maps, label[None])
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        distributions.save(Path(folder))
        for level, name in FILES.items():
            content = torch.load(Path(folder) / name, weights_only=True)
            assert sorted(content) == sorted(params['file_keys'])
            results |= {f'{level}.{key}': every_32nd(value) for key, value in content.items()}
    return results


# --- training steps ---------------------------------------------------------------------------


@family('sdca', 'train_')
def training_steps(case: Case) -> Results:
    given, params = inputs(case), case.params
    method = build_method(case)
    dtype = torch.float64 if 'run in float64' in case.text else torch.float32
    method.to(dtype).train()
    wrapper = optimizer(method, params)
    number = params['images_per_domain_and_step']
    series: dict[str, list] = {}
    results: Results = {}
    for step in range(params['steps']):
        part = slice(step * number, (step + 1) * number)
        source = DomainBatch(given['source'][part].to(dtype), given['label'][part])
        target = DomainBatch(given['target'][part].to(dtype)) if 'target' in given else None
        schedule = (params['base_lr'], params['max_iter'])
        for group in wrapper.optimizer.param_groups:
            group['lr'] *= poly(step, *schedule) / poly(max(step - 1, 0), *schedule)
        logs = method.backward_passes(UDABatch(source, target), wrapper)
        figures = published_log(case, logs) | gradient_norms(method)
        for name, value in figures.items():
            series.setdefault(name, []).append(float(value))
        if step == 0:
            results |= probes(case, method, 'grad_step1', lambda p: p.grad)
        wrapper.step()
        wrapper.zero_grad()
    state = wrapper.optimizer.state
    results |= probes(case, method, 'momentum_final', lambda p: state[p]['momentum_buffer'])
    results |= final_state(case, method) | series
    return results | {f'noise.{n}': allowed_error(case, n) for n in case.outputs}


def build_method(case: Case) -> UDAMethod:
    params = case.params
    segmentor = segmentor_config(
        network_of(params), num_classes=params['num_classes'], lovasz_weight=params['lambda_lov']
    )
    if 'tau' not in params:
        method = MODELS.build(dict(type='SourceOnly', segmentor=segmentor))
        filled(method.student, params['seed'])
        return method
    method = MODELS.build(
        dict(
            type='SDCA',
            segmentor=segmentor,
            confidence=params['delta'],
            temperature=params['tau'],
            feature_weight=params['lambda_feat'],
            output_weight=params['lambda_out'] * params['multi_level'],
        )
    )
    filled(method.student, params['seed'])
    text = case.inputs['statistics']
    if not text.startswith('none'):
        feat, out, amount = re.match(r'feat: (.+); out: (.+); (Amount.+) in both', text).groups()
        for level, words in (('feat', feat), ('out', out)):
            start(method.distributions.levels[level], f'{words}; {amount}')
    return method


def optimizer(method: UDAMethod, params: dict) -> OptimWrapper:
    config = Config.fromfile(CONFIGS / 'schedules' / 'sgd_poly_20k.py').optim_wrapper
    return optim_wrapper(
        method,
        dict(
            config.optimizer,
            lr=params['base_lr'],
            momentum=params['momentum'],
            weight_decay=params['weight_decay'],
            paramwise_cfg=config.paramwise_cfg,
        ),
    )


def poly(step: int, base: float, end: int) -> float:
    ((rate,),) = rates_at([step], [base], {'max_iters': end, 'power': 0.9})
    return rate


def published_log(case: Case, logs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The sums that the reference logs: contrast and Lovász term without their weights."""
    params = case.params
    lovasz = logs.get('decode.loss_lovasz', torch.zeros(()))
    figures = {}
    figures['loss_seg'] = figures['loss_sup'] = logs['decode.loss_seg'] + lovasz
    if params['lambda_lov']:
        figures['loss_lov'] = lovasz / params['lambda_lov']
    for name, weight in (('feat', 'lambda_feat'), ('out', 'lambda_out')):
        if f'loss_{name}' in logs:
            total = logs[f'loss_{name}'] + logs[f'tgt.loss_{name}']
            figures[f'loss_{name}'] = total / params[weight]
    return figures


def gradient_norms(method: UDAMethod) -> dict[str, Tensor]:
    student = method.student
    return {
        # float32 loses 0.2 % in a sum over so many squares
        f'grad_norm_{name}': torch.stack(
            [p.grad.double().norm() for p in module.parameters()]
        ).norm()
        for name, module in (
            ('feature_extractor', student.backbone),
            ('classifier', student.decode_head),
        )
    }


def probes(case: Case, method: UDAMethod, kind: str, value: Any) -> Results:
    names = {published_name(name): p for name, p in method.student.named_parameters()}
    listed = [name for name in case.outputs if name.startswith(f'{kind}.')]
    return {name: some(value(names[name.removeprefix(f'{kind}.')])) for name in listed}


def final_state(case: Case, method: UDAMethod) -> Results:
    state = {published_name(n): v for n, v in method.student.state_dict().items()}
    results = {f'final.{name}': some(value) for name, value in state.items()}
    if hasattr(method, 'distributions'):
        for level, classes in method.distributions.levels.items():
            for name, value in statistics_results(classes, f'final.{level}.').items():
                results[name] = every_32nd(value)
    return results


def some(values: Tensor, number: int = 256) -> Tensor:
    """At most ``number`` entries at equal distances."""
    values = values.detach().flatten()
    return values[:: max(len(values) // number, 1)][:number].clone()


def every_32nd(statistics: Tensor) -> Tensor:
    """Statistics (C, D) of many dimensions: every 32nd of them."""
    wide = statistics.ndim == 2 and statistics.shape[1] > 256
    return statistics[:, ::32] if wide else statistics


def allowed_error(case: Case, name: str) -> np.ndarray:
    """What the case's tolerance, in words, allows for an output: absolute, of its shape."""
    words, expected = case.entry['tolerance'], np.abs(case.outputs[name].expected).astype(float)

    def number(pattern: str, text: str) -> float:
        return float(re.search(pattern, text)[1])

    if name.startswith(('grad_step1.', 'momentum_final.')):
        return np.full_like(expected, words['TOL_G'] * expected.max())
    if name.startswith('final.'):
        relative, absolute = re.search(r'final\S* rtol (\S+), atol (\S+)', words['later']).groups()
        return float(relative) * expected + float(absolute)
    what = 'gradient norms' if name.startswith('grad_norm') else 'losses'
    relative = np.full_like(expected, number(rf'{what} rtol ([\d.e-]+)', words['later']))
    relative[0] = number(r'rtol ([\d.e-]+)', words['step1'])
    return relative * expected


@family('sdca', 'discriminator')
def patch_discriminator(case: Case) -> Results:
    network = filled(Discriminator(case.params['num_classes']), case.params['seed'])
    assert dict(layout(network)) == case.params['keys']
    with torch.no_grad():
        return {'logits': network(inputs(case)['x'])}
