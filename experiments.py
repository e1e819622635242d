"""The experiment table: what `python run_experiments.py --exp ID` runs.

Ids: 0 the demo, 1-8 SePiCo, 10-19 DAFormer and its baselines, 20-24 HRDA, 25-29 and 36 MIC, 30-35
and 39 CDDA, 37-38 AdvSeg and MinEnt, 40-47 SDCA, 48 FADA, 70-79 further SePiCo (configs derived
from 1-8), 100 + N the toy version of experiment N's method.
Published figures are mIoU in percent on the target's evaluation set, as the paper or its code base
states them: 19 classes, 16 or 13 where the source is SYNTHIA. ``None``: no figure to compare with.
"""

from dataclasses import replace

from mmseg_uda.engine.experiment import Experiment, Stage


def toy_data(folder: str, **options) -> tuple[Stage, ...]:
    """The toy world is made and converted once, whichever experiment comes first."""
    return (
        Stage(
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
        ),
        Stage(
            'convert_source',
            kind='command',
            call='tools.convert_datasets.gta:main',
            options={'argv': ['{make_toy_world.source}', '--nproc', '2']},
            outputs={'statistics': f'{folder}/gta/sample_class_stats.json'},
            folder=f'{folder}/stages/convert_source',
        ),
        Stage(
            'convert_target',
            kind='command',
            call='tools.convert_datasets.cityscapes:main',
            options={'argv': ['{make_toy_world.target}', '--nproc', '2']},
            outputs={'statistics': f'{folder}/cityscapes/sample_class_stats.json'},
            folder=f'{folder}/stages/convert_target',
        ),
    )


TOY_DATA = toy_data('data/toy')
TOY_HR_DATA = toy_data('data/toy_hr', size=[256, 512])


def trained(config: str, name: str = 'train', **test_options) -> tuple[Stage, Stage]:
    """Train a config and test the result on the target domain."""
    test = 'test' if name == 'train' else f'test_{name}'
    options = {'checkpoint': f'{{{name}.checkpoint}}', **test_options}
    return Stage(name, config), Stage(test, config, kind='test', options=options)


def aligned(config: str, bank: str) -> tuple[Stage, ...]:
    """Make CDDA's bank of source crops, once for all seeds, then train and test."""
    distributions = Stage(
        'depth_distributions',
        kind='command',
        call='tools.depth_distributions:main',
        options={'argv': [config, '--out', bank]},
        outputs={'bank': bank},
        folder=f'{bank}/stage',
    )
    train, test = trained(config)
    options = {'model.parts.cdda.bank': '{depth_distributions.bank}'}
    return distributions, replace(train, options=options), test


def sdca(
    source: str, adaptation: str, self_supervision: str, *, toy: bool = False
) -> tuple[Stage, ...]:
    """SDCA: source training, class distributions, adaptation, pseudo-labels, self-supervision.

    Every stage hands on its last checkpoint; all that it kept are tested. In the toy world the last
    alone is, and the self-supervised network goes on from the adapted one's weights: there are none
    of ImageNet.
    """
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
            call='mmseg_uda.engine.init_statistics:initialise_statistics',
            options={'checkpoint': '{source.checkpoint}', 'folder': '{folder}'},
            outputs={'features': '{folder}/feat_dist.pth', 'logits': '{folder}/out_dist.pth'},
        ),
        Stage(
            'sdca',
            adaptation,
            options={
                'load_from': '{source.checkpoint}',
                'model.statistics': '{distributions.features}',
            },
        ),
        Stage('test_sdca', adaptation, kind='test', options={'checkpoint': f'{{sdca.{which}}}'}),
        Stage(
            'pseudo_labels',
            adaptation,
            kind='command',
            call='mmseg_uda.engine.pseudo_labelling:generate_pseudo_labels',
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


def sdca_of(setting: str) -> tuple[Stage, ...]:
    """The stages with the configs ``configs/sdca/*_<setting>.py``."""
    return sdca(*(f'configs/sdca/{stage}_{setting}.py' for stage in ('src', 'sdca', 'ssl')))


def fada(source: str, adaptation: str) -> tuple[Stage, ...]:
    """FADA: training on the source, without SDCA's Lovász loss, then adaptation."""
    train, test = trained(adaptation)
    options = {'model.segmentor.lovasz_weight': 0.0}
    train = replace(train, options={'load_from': '{source.checkpoint}'})
    return Stage('source', source, options=options), train, test


def of_config(config: str, name: str) -> Experiment:
    """The experiment that a config file alone makes."""
    return Experiment(None, name, trained(config))


SOURCE_ONLY = 'configs/toy/source_only_mitb0_toy_game2city.py'
SELF_TRAINING = 'configs/toy/daformer_mitb0_toy_game2city.py'

PREDICTIONS = {'show_dir': '{folder}/predictions', 'opacity': 1}

DEMO = (
    *TOY_DATA,
    *trained(SOURCE_ONLY, 'source_only', **PREDICTIONS),
    *trained(SELF_TRAINING, 'self_training', **PREDICTIONS),
    Stage(
        'report',
        kind='command',
        call='tools.report:main',
        options={
            'argv': [
                SELF_TRAINING,
                'source-only={test_source_only.scores}',
                'self-training={test_self_training.scores}',
                '--out',
                '{folder}',
            ]
        },
        outputs={'table': '{folder}/report.md', 'picture': '{folder}/comparison.png'},
    ),
)

TABLE = (
    Experiment(0, 'demo', DEMO, note='toy world: source-only and self-training side by side'),
    # SePiCo (Xie et al., TPAMI 2023)
    Experiment(
        1,
        'sepico_dist_dlv2_gta2cs',
        trained('configs/sepico/sepico_dist_dlv2_gta2cs.py'),
        published=61.0,
        note='SePiCo DistCL, DeepLabv2 ResNet-101, GTA -> Cityscapes',
    ),
    Experiment(
        2,
        'sepico_bank_dlv2_gta2cs',
        trained('configs/sepico/sepico_bank_dlv2_gta2cs.py'),
        published=59.8,
        note='SePiCo BankCL, DeepLabv2 ResNet-101, GTA -> Cityscapes',
    ),
    Experiment(
        3,
        'sepico_proto_dlv2_gta2cs',
        trained('configs/sepico/sepico_proto_dlv2_gta2cs.py'),
        published=58.8,
        note='SePiCo ProtoCL, DeepLabv2 ResNet-101, GTA -> Cityscapes',
    ),
    Experiment(
        4,
        'sepico_dist_mitb5_gta2cs',
        trained('configs/sepico/sepico_dist_mitb5_gta2cs.py'),
        published=70.3,
        note='SePiCo DistCL, MiT-B5, GTA -> Cityscapes',
    ),
    Experiment(
        5,
        'sepico_bank_mitb5_gta2cs',
        trained('configs/sepico/sepico_bank_mitb5_gta2cs.py'),
        published=68.7,
        note='SePiCo BankCL, MiT-B5, GTA -> Cityscapes',
    ),
    Experiment(
        6,
        'sepico_proto_mitb5_gta2cs',
        trained('configs/sepico/sepico_proto_mitb5_gta2cs.py'),
        published=68.5,
        note='SePiCo ProtoCL, MiT-B5, GTA -> Cityscapes',
    ),
    Experiment(
        7,
        'sepico_dist_dlv2_cs2dzur',
        (Stage('train', 'configs/sepico/sepico_dist_dlv2_cs2dzur.py'),),
        published=45.4,
        note='SePiCo DistCL, DeepLabv2 ResNet-101, Cityscapes -> Dark Zurich; '
        'published on the test server',
    ),
    Experiment(
        8,
        'sepico_dist_mitb5_cs2dzur',
        (Stage('train', 'configs/sepico/sepico_dist_mitb5_cs2dzur.py'),),
        published=54.2,
        note='SePiCo DistCL, MiT-B5, Cityscapes -> Dark Zurich; published on the test server',
    ),
    # DAFormer (Hoyer et al., CVPR 2022) and what it is measured against
    Experiment(
        10,
        'daformer_gta2cs',
        trained('configs/daformer/daformer_mitb5_gta2cs.py'),
        published=68.3,
        note='DAFormer, MiT-B5, GTA -> Cityscapes',
    ),
    Experiment(
        11,
        'daformer_synthia2cs',
        trained('configs/daformer/daformer_mitb5_synthia2cs.py'),
        published=60.9,
        metric='mIoU16',
        note='DAFormer, MiT-B5, SYNTHIA -> Cityscapes',
    ),
    Experiment(
        12,
        'daformer_cs2dzur',
        trained('configs/daformer/daformer_mitb5_cs2dzur.py'),
        published=53.8,
        note='DAFormer, MiT-B5, Cityscapes -> Dark Zurich; published on the test server',
    ),
    Experiment(
        13,
        'daformer_cs2acdc',
        trained('configs/daformer/daformer_mitb5_cs2acdc.py'),
        published=55.4,
        note='DAFormer, MiT-B5, Cityscapes -> ACDC; published on the test server',
    ),
    Experiment(
        14,
        'daformer_dlv2_gta2cs',
        trained('configs/daformer/daformer_dlv2_gta2cs.py'),
        note="DAFormer's training, DeepLabv2 ResNet-101, GTA -> Cityscapes",
    ),
    Experiment(
        15,
        'dacs_dlv2_gta2cs',
        trained('configs/dacs/dacs_dlv2_gta2cs.py'),
        published=52.1,
        note='DACS, DeepLabv2 ResNet-101, GTA -> Cityscapes',
    ),
    Experiment(
        16,
        'dacs_dlv2_synthia2cs',
        trained('configs/dacs/dacs_dlv2_synthia2cs.py'),
        published=48.3,
        metric='mIoU16',
        note='DACS, DeepLabv2 ResNet-101, SYNTHIA -> Cityscapes',
    ),
    Experiment(
        17,
        'source_only_mitb5_gta2cs',
        trained('configs/source_only/source_only_mitb5_gta2cs.py'),
        note='no adaptation, MiT-B5, GTA -> Cityscapes',
    ),
    Experiment(
        18,
        'oracle_mitb5_cs',
        trained('configs/oracle/oracle_mitb5_cs.py'),
        note='supervised on the target, MiT-B5, Cityscapes',
    ),
    Experiment(
        19,
        'source_only_dlv2_gta2cs',
        trained('configs/source_only/source_only_dlv2_gta2cs.py'),
        note='no adaptation, DeepLabv2 ResNet-101, GTA -> Cityscapes',
    ),
    # HRDA (Hoyer et al., ECCV 2022)
    Experiment(
        20,
        'hrda_gta2cs',
        trained('configs/hrda/hrda_mitb5_gta2cs.py'),
        published=73.8,
        note='HRDA, MiT-B5, GTA -> Cityscapes',
    ),
    Experiment(
        21,
        'hrda_synthia2cs',
        trained('configs/hrda/hrda_mitb5_synthia2cs.py'),
        published=65.8,
        metric='mIoU16',
        note='HRDA, MiT-B5, SYNTHIA -> Cityscapes',
    ),
    Experiment(
        22,
        'hrda_cs2acdc',
        trained('configs/hrda/hrda_mitb5_cs2acdc.py'),
        published=68.0,
        note='HRDA, MiT-B5, Cityscapes -> ACDC; published on the test server',
    ),
    Experiment(
        23,
        'hrda_cs2dzur',
        trained('configs/hrda/hrda_mitb5_cs2dzur.py'),
        published=55.9,
        note='HRDA, MiT-B5, Cityscapes -> Dark Zurich; published on the test server',
    ),
    Experiment(
        24,
        'hrda_dlv2_gta2cs',
        trained('configs/hrda/hrda_dlv2_gta2cs.py'),
        note='HRDA, DeepLabv2 ResNet-101, GTA -> Cityscapes',
    ),
    # MIC (Hoyer et al., CVPR 2023)
    Experiment(
        25,
        'mic_hrda_gta2cs',
        trained('configs/mic/mic_hrda_mitb5_gta2cs.py'),
        published=75.9,
        note='MIC(HRDA), MiT-B5, GTA -> Cityscapes',
    ),
    Experiment(
        26,
        'mic_hrda_synthia2cs',
        trained('configs/mic/mic_hrda_mitb5_synthia2cs.py'),
        published=74.0,
        metric='mIoU13',
        note='MIC(HRDA), MiT-B5, SYNTHIA -> Cityscapes',
    ),
    Experiment(
        27,
        'mic_hrda_cs2acdc',
        trained('configs/mic/mic_hrda_mitb5_cs2acdc.py'),
        published=70.4,
        note='MIC(HRDA), MiT-B5, Cityscapes -> ACDC; published on the test server',
    ),
    Experiment(
        28,
        'mic_hrda_cs2dzur',
        trained('configs/mic/mic_hrda_mitb5_cs2dzur.py'),
        note='MIC(HRDA), MiT-B5, Cityscapes -> Dark Zurich',
    ),
    Experiment(
        29,
        'mic_daformer_gta2cs',
        trained('configs/mic/mic_daformer_mitb5_gta2cs.py'),
        note='MIC(DAFormer), MiT-B5, GTA -> Cityscapes',
    ),
    Experiment(
        36,
        'mic_sepico_gta2cs',
        trained('configs/mic/mic_sepico_dist_mitb5_gta2cs.py'),
        note='SePiCo DistCL with MIC, MiT-B5, GTA -> Cityscapes',
    ),
    # Adversarial training and entropy minimisation, the baselines of MIC
    Experiment(
        37,
        'adversarial_dlv2_gta2cs',
        trained('configs/adversarial/adversarial_dlv2_gta2cs.py'),
        note='AdvSeg, DeepLabv2 ResNet-101, GTA -> Cityscapes',
    ),
    Experiment(
        38,
        'min_entropy_dlv2_gta2cs',
        trained('configs/min_entropy/min_entropy_dlv2_gta2cs.py'),
        note='MinEnt, DeepLabv2 ResNet-101, GTA -> Cityscapes',
    ),
    # CDDA, on three hosts. Published: the best of 40 evaluations on the target's validation images.
    Experiment(
        30,
        'cdda_daformer_gta2cs',
        aligned('configs/cdda/cdda_daformer_mitb5_gta2cs.py', 'preprocessed/gta_daformer'),
        published=69.6,
        note='CDDA(DAFormer), MiT-B5, GTA -> Cityscapes',
    ),
    Experiment(
        31,
        'cdda_daformer_synthia2cs',
        aligned('configs/cdda/cdda_daformer_mitb5_synthia2cs.py', 'preprocessed/synthia_daformer'),
        published=63.2,
        metric='mIoU16',
        note='CDDA(DAFormer), MiT-B5, SYNTHIA -> Cityscapes',
    ),
    Experiment(
        32,
        'cdda_hrda_gta2cs',
        aligned('configs/cdda/cdda_hrda_mitb5_gta2cs.py', 'preprocessed/gta_hrda'),
        published=75.1,
        note='CDDA(HRDA), MiT-B5, GTA -> Cityscapes',
    ),
    Experiment(
        33,
        'cdda_hrda_synthia2cs',
        aligned('configs/cdda/cdda_hrda_mitb5_synthia2cs.py', 'preprocessed/synthia_hrda'),
        published=67.3,
        metric='mIoU16',
        note='CDDA(HRDA), MiT-B5, SYNTHIA -> Cityscapes',
    ),
    Experiment(
        34,
        'cdda_mic_gta2cs',
        aligned('configs/cdda/cdda_mic_mitb5_gta2cs.py', 'preprocessed/gta_mic'),
        published=76.9,
        note='CDDA(MIC(HRDA)), MiT-B5, GTA -> Cityscapes',
    ),
    Experiment(
        35,
        'cdda_mic_synthia2cs',
        aligned('configs/cdda/cdda_mic_mitb5_synthia2cs.py', 'preprocessed/synthia_mic'),
        published=68.7,
        metric='mIoU16',
        note='CDDA(MIC(HRDA)), MiT-B5, SYNTHIA -> Cityscapes',
    ),
    Experiment(
        39,
        'cdda_sepico_dist_gta2cs',
        aligned('configs/cdda/cdda_sepico_dist_mitb5_gta2cs.py', 'preprocessed/gta_sepico'),
        note='CDDA(SePiCo DistCL), MiT-B5, GTA -> Cityscapes; a combination not published',
    ),
    # SDCA (Li et al., 2021); its batches are those of four GPUs together
    Experiment(
        40,
        'sdca_r101_gta2cs',
        sdca_of('r101_gta2cs'),
        published=52.9,
        note='SDCA, ResNet-101, GTA -> Cityscapes',
    ),
    Experiment(
        41,
        'sdca_r101_synthia2cs',
        sdca_of('r101_synthia2cs'),
        published=50.2,
        note='SDCA, ResNet-101, SYNTHIA -> Cityscapes, 16 classes',
    ),
    Experiment(
        42,
        'sdca_vgg16_gta2cs',
        sdca_of('vgg16_gta2cs'),
        published=47.3,
        note='SDCA, VGG-16, GTA -> Cityscapes',
    ),
    Experiment(
        43,
        'sdca_vgg16_synthia2cs',
        sdca_of('vgg16_synthia2cs'),
        published=43.5,
        note='SDCA, VGG-16, SYNTHIA -> Cityscapes, 16 classes',
    ),
    *(
        Experiment(
            number,
            f'sdca_r101_cs2{city.lower()}',
            sdca_of(f'r101_cs2{city.lower()}'),
            metric='mIoU13',
            note=f'SDCA, ResNet-101, Cityscapes -> {city} (Cross-City)',
        )
        for number, city in enumerate(('Rio', 'Rome', 'Taipei', 'Tokyo'), 44)
    ),
    # SDCA's ancestor (Wang et al., ECCV 2020)
    Experiment(
        48,
        'fada_r101_gta2cs',
        fada('configs/sdca/src_r101_gta2cs.py', 'configs/fada/fada_r101_gta2cs.py'),
        note='FADA without its self-distillation, ResNet-101, GTA -> Cityscapes',
    ),
    # SePiCo's other published rows, for which no config is published: theirs is derived
    Experiment(
        70,
        'sepico_dist_dlv2_synthia2cs',
        trained('configs/sepico/sepico_dist_dlv2_synthia2cs.py'),
        published=58.1,
        metric='mIoU16',
        note='SePiCo DistCL, DeepLabv2 ResNet-101, SYNTHIA -> Cityscapes; derived config',
    ),
    Experiment(
        71,
        'sepico_bank_dlv2_synthia2cs',
        trained('configs/sepico/sepico_bank_dlv2_synthia2cs.py'),
        published=57.4,
        metric='mIoU16',
        note='SePiCo BankCL, DeepLabv2 ResNet-101, SYNTHIA -> Cityscapes; derived config',
    ),
    Experiment(
        72,
        'sepico_proto_dlv2_synthia2cs',
        trained('configs/sepico/sepico_proto_dlv2_synthia2cs.py'),
        published=56.8,
        metric='mIoU16',
        note='SePiCo ProtoCL, DeepLabv2 ResNet-101, SYNTHIA -> Cityscapes; derived config',
    ),
    Experiment(
        73,
        'sepico_dist_mitb5_synthia2cs',
        trained('configs/sepico/sepico_dist_mitb5_synthia2cs.py'),
        published=64.3,
        metric='mIoU16',
        note='SePiCo DistCL, MiT-B5, SYNTHIA -> Cityscapes; derived config',
    ),
    Experiment(
        74,
        'sepico_bank_mitb5_synthia2cs',
        trained('configs/sepico/sepico_bank_mitb5_synthia2cs.py'),
        published=63.3,
        metric='mIoU16',
        note='SePiCo BankCL, MiT-B5, SYNTHIA -> Cityscapes; derived config',
    ),
    Experiment(
        75,
        'sepico_proto_mitb5_synthia2cs',
        trained('configs/sepico/sepico_proto_mitb5_synthia2cs.py'),
        published=62.9,
        metric='mIoU16',
        note='SePiCo ProtoCL, MiT-B5, SYNTHIA -> Cityscapes; derived config',
    ),
    Experiment(
        76,
        'sepico_bank_dlv2_cs2dzur',
        (Stage('train', 'configs/sepico/sepico_bank_dlv2_cs2dzur.py'),),
        published=44.1,
        note='SePiCo BankCL, DeepLabv2 ResNet-101, Cityscapes -> Dark Zurich; '
        'published on the test server; derived config',
    ),
    Experiment(
        77,
        'sepico_proto_dlv2_cs2dzur',
        (Stage('train', 'configs/sepico/sepico_proto_dlv2_cs2dzur.py'),),
        published=42.6,
        note='SePiCo ProtoCL, DeepLabv2 ResNet-101, Cityscapes -> Dark Zurich; '
        'published on the test server; derived config',
    ),
    Experiment(
        78,
        'sepico_bank_mitb5_cs2dzur',
        (Stage('train', 'configs/sepico/sepico_bank_mitb5_cs2dzur.py'),),
        published=53.3,
        note='SePiCo BankCL, MiT-B5, Cityscapes -> Dark Zurich; '
        'published on the test server; derived config',
    ),
    Experiment(
        79,
        'sepico_proto_mitb5_cs2dzur',
        (Stage('train', 'configs/sepico/sepico_proto_mitb5_cs2dzur.py'),),
        published=52.7,
        note='SePiCo ProtoCL, MiT-B5, Cityscapes -> Dark Zurich; '
        'published on the test server; derived config',
    ),
    # The same methods on the toy world, with a MiT-B0 from scratch
    Experiment(
        101,
        'toy_sepico_dist',
        (*TOY_DATA, *trained('configs/toy/sepico_dist_mitb0_toy_game2city.py')),
        note='SePiCo DistCL, game -> city',
    ),
    Experiment(
        102,
        'toy_sepico_bank',
        (*TOY_DATA, *trained('configs/toy/sepico_bank_mitb0_toy_game2city.py')),
        note='SePiCo BankCL, game -> city',
    ),
    Experiment(
        103,
        'toy_sepico_proto',
        (*TOY_DATA, *trained('configs/toy/sepico_proto_mitb0_toy_game2city.py')),
        note='SePiCo ProtoCL, game -> city',
    ),
    Experiment(
        110,
        'toy_daformer',
        (*TOY_DATA, *trained(SELF_TRAINING)),
        note='self-training, game -> city',
    ),
    Experiment(
        130,
        'toy_cdda',
        (
            *TOY_DATA,
            *aligned('configs/toy/cdda_mitb0_toy_game2city.py', 'data/toy/depth_distributions'),
        ),
        note='CDDA on self-training, game -> city',
    ),
    Experiment(
        115,
        'toy_dacs',
        (*TOY_DATA, *trained('configs/toy/dacs_mitb0_toy_game2city.py')),
        note='DACS, game -> city',
    ),
    Experiment(
        117,
        'toy_source_only',
        (*TOY_DATA, *trained(SOURCE_ONLY)),
        note='no adaptation, game -> city',
    ),
    Experiment(
        118,
        'toy_oracle',
        (*TOY_DATA, *trained('configs/toy/oracle_mitb0_toy_city.py')),
        note='supervised on the target, city',
    ),
    Experiment(
        120,
        'toyhr_hrda',
        (*TOY_HR_DATA, *trained('configs/toy/hrda_r18_toyhr_game2city.py')),
        note='HRDA, game -> city in twice the resolution',
    ),
    Experiment(
        121,
        'toyhr_daformer',
        (*TOY_HR_DATA, *trained('configs/toy/daformer_r18_toyhr_game2city.py')),
        note='the same at half of its resolution: self-training as 110',
    ),
    Experiment(
        122,
        'toyhr_source_only',
        (*TOY_HR_DATA, *trained('configs/toy/source_only_r18_toyhr_game2city.py')),
        note='the same at half of its resolution: no adaptation',
    ),
    Experiment(
        125,
        'toy_mic',
        (*TOY_DATA, *trained('configs/toy/mic_mitb0_toy_game2city.py')),
        note='self-training with masked image consistency, game -> city',
    ),
    Experiment(
        137,
        'toy_adversarial',
        (*TOY_DATA, *trained('configs/toy/adversarial_mitb0_toy_game2city.py')),
        note='AdvSeg, game -> city',
    ),
    Experiment(
        138,
        'toy_min_entropy',
        (*TOY_DATA, *trained('configs/toy/min_entropy_mitb0_toy_game2city.py')),
        note='MinEnt, game -> city',
    ),
    Experiment(
        140,
        'toy_sdca',
        (
            *TOY_DATA,
            *sdca(
                'configs/toy/sdca_src_r18_toy_game2city.py',
                'configs/toy/sdca_r18_toy_game2city.py',
                'configs/toy/sdca_ssl_r18_toy_game2city.py',
                toy=True,
            ),
        ),
        note='SDCA, game -> city, with a ResNet-18 of half the width',
    ),
)

EXPERIMENTS = {experiment.id: experiment for experiment in TABLE}
