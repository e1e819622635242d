"""Recipes, which turn a config into the stages of an experiment, and the rows of the table.

A recipe takes the path of a config and returns stages. Stages name the functions that they call as
strings, so the table can be listed without importing torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from mmseg_uda.errors import UserError
from mmseg_uda.experiments.experiment import Experiment, Stage

Recipe = Callable[[str], tuple[Stage, ...]]

NETWORKS = {
    'dlv2': 'DeepLabV2, ResNet-101',
    'r101': 'DeepLabV2, ResNet-101',
    'vgg16': 'DeepLabV2, VGG-16',
    'fcn8': 'FCN-8s, VGG-16',
    'mitb5': 'MiT-B5',
    'mitb0': 'MiT-B0',
    'r18': 'ResNet-18, half width',
}
DOMAINS = {
    'gta2cs': 'GTA → Cityscapes',
    'synthia2cs': 'SYNTHIA → Cityscapes',
    'cs2dzur': 'Cityscapes → Dark Zurich',
    'cs2acdc': 'Cityscapes → ACDC',
    'cs2rio': 'Cityscapes → Rio',
    'cs2rome': 'Cityscapes → Rome',
    'cs2taipei': 'Cityscapes → Taipei',
    'cs2tokyo': 'Cityscapes → Tokyo',
    'cs': 'Cityscapes',
    'game2city': 'toy game → toy city',
    'city': 'toy city',
}
TOY_WORLDS = ('toy', 'toyhr')
"""Words between network and domains in the names of toy configs."""


def train(config: str) -> tuple[Stage, ...]:
    """Train without a test: the target's labels are kept by a test server."""
    return (Stage('train', config),)


def train_test(
    config: str, name: str = 'train', *, shared: bool = False, **test_options
) -> tuple[Stage, ...]:
    """Train, then test the last checkpoint on the target domain.

    Args:
        shared: experiments share the training, under the name of its config.
    """
    test = 'test' if name == 'train' else f'test_{name}'
    options = {'checkpoint': f'{{{name}.checkpoint}}', **test_options}
    training = Stage(name, config, shared=Path(config).stem if shared else None)
    return training, Stage(test, config, kind='test', options=options)


def train_test_shared(config: str) -> tuple[Stage, ...]:
    """As :func:`train_test`; other experiments start from the same training and share it."""
    return train_test(config, shared=True)


def caco_warm_up(config: str) -> tuple[Stage, ...]:
    """CaCo's warm-up, after a training on the source that experiments share."""
    source, _ = train_test('configs/caco/source_only_r101_gta2cs.py', 'source_only', shared=True)
    training, test = train_test(config)
    return source, replace(training, options={'load_from': '{source_only.checkpoint}'}), test


def cdda(config: str, bank: str | None = None) -> tuple[Stage, ...]:
    """Make CDDA's bank of source crops with the config's seed, then train and test.

    The published form (``cdda_published_*``) shares the bank of the documented form.

    Args:
        bank: folder of the bank; default ``preprocessed/<source>_<host>``, by the config's name.
    """
    documented = config.replace('published_', '')
    if bank is None:
        _, host, *_, domains = Path(documented).stem.split('_')
        bank = f'preprocessed/{domains.split("2")[0]}_{host}'
    distributions = Stage(
        'depth_distributions',
        kind='command',
        call='mmseg_uda.preparation.depth_bank:make_bank_of_config',
        options={'config': documented, 'folder': bank},
        outputs={'bank': bank},
        folder=f'{bank}/stage',
    )
    training, test = train_test(config)
    options = {'model.addons.cdda.bank': '{depth_distributions.bank}'}
    return distributions, replace(training, options=options), test


def cdda_best(config: str) -> tuple[Stage, ...]:
    """As :func:`cdda`, and test the best checkpoint of all validations.

    The published figures of CDDA belong to it: the best of 40 validations on target labels.
    """
    *stages, test = cdda(config)
    best = replace(test, name='test_best', options={'checkpoint': '{train.best}'})
    return (*stages, test, best)


def sdca(config: str, *, toy: bool = False) -> tuple[Stage, ...]:
    """SDCA: source training, class distributions, adaptation, pseudo-labels, self-supervision.

    Later stages read the last checkpoint of a training; all checkpoints that it kept are tested.
    In the toy world only the last one is tested, and self-supervision starts from the adapted
    weights because there are no ImageNet weights.

    Args:
        config: of the adaptation, ``sdca_<setting>.py``; ``src_`` and ``ssl_`` are beside it.
        toy: the form for the toy world.
    """
    source, self_supervision = _beside(config, 'src'), _beside(config, 'ssl')
    which = 'checkpoint' if toy else 'folder'
    labels = {
        'train_dataloader.dataset.source.data_prefix.seg_map_path': '{pseudo_labels.labels}',
        **({'load_from': '{sdca.checkpoint}'} if toy else {}),
    }
    return (
        Stage('source', source),
        Stage('test_source', source, kind='test', options={'checkpoint': f'{{source.{which}}}'}),
        Stage(
            'distributions',
            source,
            kind='command',
            call='mmseg_uda.preparation.class_distributions:initialise_statistics',
            options={'checkpoint': '{source.checkpoint}', 'folder': '{folder}'},
            outputs={'features': '{folder}/feat_dist.pth', 'logits': '{folder}/out_dist.pth'},
        ),
        Stage(
            'sdca',
            config,
            options={
                'load_from': '{source.checkpoint}',
                'model.statistics': '{distributions.features}',
            },
        ),
        Stage('test_sdca', config, kind='test', options={'checkpoint': f'{{sdca.{which}}}'}),
        Stage(
            'pseudo_labels',
            config,
            kind='command',
            call='mmseg_uda.preparation.pseudo_labels:generate_pseudo_labels',
            options={'checkpoint': '{sdca.checkpoint}', 'folder': '{folder}'},
            outputs={
                'labels': '{folder}/soft_labels',
                'thresholds': '{folder}/thres_const.npy',
            },
        ),
        Stage('ssl', self_supervision, options=labels),
        Stage(
            'test_ssl', self_supervision, kind='test', options={'checkpoint': f'{{ssl.{which}}}'}
        ),
    )


def dasac(config: str) -> tuple[Stage, ...]:
    """DA-SAC: baseline with adaptive batch norm, importance weights, consistency training.

    The last training starts from the baseline's weights and optimiser state; target images are
    sampled by what the baseline predicts in them.

    Args:
        config: of the consistency training, ``dasac_<setting>.py``; ``abn_`` is beside it.
    """
    baseline = _beside(config, 'abn')
    training, test = train_test(config, 'dasac')
    weights = '{folder}/importance_weights.json'
    return (
        *train_test(baseline, 'abn'),
        Stage(
            'importance_weights',
            baseline,
            kind='command',
            call='mmseg_uda.preparation.importance_weights:weights_of_predictions',
            options={'checkpoint': '{abn.checkpoint}', 'out': weights},
            outputs={'weights': weights},
        ),
        replace(
            training,
            options={
                'load_from': '{abn.checkpoint}',
                'train_dataloader.dataset.target_sampling.weights': '{importance_weights.weights}',
            },
        ),
        test,
    )


def fada(config: str) -> tuple[Stage, ...]:
    """FADA: SDCA's training on the source without its Lovász loss, then adaptation."""
    setting = Path(config).stem.removeprefix('fada_')
    source = f'configs/sdca/src_{setting}.py'
    training, test = train_test(config)
    return (
        Stage('source', source, options={'model.segmentor.lovasz_weight': 0.0}),
        replace(training, options={'load_from': '{source.checkpoint}'}),
        test,
    )


def toy_world(folder: str, **options) -> tuple[Stage, ...]:
    """Make and convert a toy world in ``folder``, which several experiments read."""

    def convert(name: str, data: str, dataset: str) -> Stage:
        return Stage(
            f'convert_{name}',
            kind='command',
            call='mmseg_uda.preparation.conversion:convert',
            options={'dataset': dataset, 'root': f'{{make_toy_world.{name}}}', 'nproc': 2},
            outputs={'statistics': f'{folder}/{data}/sample_class_stats.json'},
            folder=f'{folder}/stages/convert_{name}',
        )

    make = Stage(
        'make_toy_world',
        kind='command',
        call='mmseg_uda.toy:make_world',
        options={
            'out': folder,
            'looks': ['game', 'city'],
            'nproc': 2,
            'progress': True,
            **options,
        },
        outputs={'source': f'{folder}/gta', 'target': f'{folder}/cityscapes'},
        folder=f'{folder}/stages/make_toy_world',
    )
    return make, convert('source', 'gta', 'gta'), convert('target', 'cityscapes', 'cityscapes')


def toy(config: str) -> tuple[Stage, ...]:
    """In the toy world: train and test."""
    return (*toy_world('data/toy'), *train_test(config))


def toy_baseline(config: str) -> tuple[Stage, ...]:
    """As :func:`toy`; other experiments compare with the same training and share it."""
    return (*toy_world('data/toy'), *train_test(config, shared=True))


def toy_hr(config: str) -> tuple[Stage, ...]:
    """In a toy world of twice the resolution: train and test."""
    return (*toy_world('data/toy_hr', size=[256, 512]), *train_test(config))


def toy_cdda(config: str) -> tuple[Stage, ...]:
    """CDDA in the toy world."""
    return (*toy_world('data/toy'), *cdda(config, bank='data/toy/depth_distributions'))


def toy_sdca(config: str) -> tuple[Stage, ...]:
    """SDCA in the toy world."""
    return (*toy_world('data/toy'), *sdca(config, toy=True))


def toy_dasac(config: str) -> tuple[Stage, ...]:
    """DA-SAC in the toy world, after a control that is trained on the source alone."""
    control = train_test(_beside(config, 'source_only'), 'source_only')
    return (*toy_world('data/toy'), *control, *dasac(config))


def demo(self_training: str) -> tuple[Stage, ...]:
    """Train source-only and with self-training in the toy world, test both and compare them."""
    source_only = self_training.replace('daformer', 'source_only')
    predictions = {'show_dir': '{folder}/predictions', 'opacity': 1}
    report = Stage(
        'report',
        kind='command',
        call='mmseg_uda.experiments.comparison:compare',
        options={
            'config': self_training,
            'runs': {
                'source-only': '{test_source_only.scores}',
                'self-training': '{test_self_training.scores}',
            },
            'out': '{folder}',
        },
        outputs={'table': '{folder}/report.md', 'picture': '{folder}/comparison.png'},
    )
    return (
        *toy_world('data/toy'),
        *train_test(source_only, 'source_only', shared=True, **predictions),
        *train_test(self_training, 'self_training', **predictions),
        report,
    )


def row(
    id: int,
    config: str,
    method: str,
    published: float | None = None,
    recipe: Recipe = train_test,
    *,
    name: str | None = None,
    note: str = '',
    earlier: Mapping[str, Mapping[str, float]] | None = None,
    **figures: float,
) -> Experiment:
    """A row of the table.

    Args:
        config: below ``configs/``, without ``.py``. Its name ends with network and domains, as in
            ``hrda_mitb5_gta2cs``.
        method: for the list of experiments.
        published: mIoU in percent that the paper or its code states for the last stage.
        recipe: turns the config into stages.
        name: of the experiment and its work dir; default the config's.
        note: a remark for the list of experiments.
        earlier: published figures of other stages, by stage name and metric.
        figures: published figures other than the mIoU of all classes (``mIoU16=60.9``).
    """
    *_, network, domains = (p for p in Path(config).name.split('_') if p not in TOY_WORLDS)
    file = f'configs/{config}.py'
    stages, figures = recipe(file), ({} if published is None else {'mIoU': published}) | figures
    figures_of = {**(earlier or {}), stages[-1].name: figures}
    stages = tuple(replace(s, published=figures_of.pop(s.name, {})) for s in stages)
    if figures_of:
        raise UserError(f'experiment {id}: published figures of unknown stages {[*figures_of]}')
    name = name or Path(config).name
    what = dict(method=method, network=NETWORKS[network], domains=DOMAINS[domains], note=note)
    return Experiment(id, name, stages, file, **what)


def of_config(config: str) -> Experiment:
    """An experiment that trains and tests one config file."""
    name = Path(config.removesuffix('.py')).name
    return Experiment(None, name, train_test(config), config)


def _beside(config: str, stage: str) -> str:
    """The config of another stage, such as ``.../src_x.py`` for ``.../sdca_x.py``."""
    path = Path(config)
    return str(path.with_name(f'{stage}_{path.name.partition("_")[2]}'))
