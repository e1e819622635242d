"""The demo, and the same methods on the toy world, with small networks from scratch.

Their ids: 100 + that of the full-size experiment.
"""

from experiments.cdda import aligned
from experiments.rows import trained
from experiments.sdca import sdca_stages
from mmseg_uda.experiments.experiment import Experiment, Stage


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

SOURCE_ONLY = 'configs/toy/source_only_mitb0_toy_game2city.py'
SELF_TRAINING = 'configs/toy/daformer_mitb0_toy_game2city.py'
PREDICTIONS = {'show_dir': '{folder}/predictions', 'opacity': 1}

DEMO = Experiment(
    0,
    'demo',
    (
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
    ),
    note='toy world: source-only and self-training side by side',
)


def toy(
    id: int, name: str, config: str, note: str, data: tuple[Stage, ...] = TOY_DATA
) -> Experiment:
    """A row that makes the toy world, then trains and tests ``configs/toy/<config>.py``."""
    return Experiment(id, name, (*data, *trained(f'configs/toy/{config}.py')), note=note)


ROWS = (
    toy(101, 'toy_sepico_dist', 'sepico_dist_mitb0_toy_game2city', 'SePiCo DistCL, game -> city'),
    toy(102, 'toy_sepico_bank', 'sepico_bank_mitb0_toy_game2city', 'SePiCo BankCL, game -> city'),
    toy(
        103, 'toy_sepico_proto', 'sepico_proto_mitb0_toy_game2city', 'SePiCo ProtoCL, game -> city'
    ),
    toy(110, 'toy_daformer', 'daformer_mitb0_toy_game2city', 'self-training, game -> city'),
    Experiment(
        130,
        'toy_cdda',
        (
            *TOY_DATA,
            *aligned('configs/toy/cdda_mitb0_toy_game2city.py', 'data/toy/depth_distributions'),
        ),
        note='CDDA on self-training, game -> city',
    ),
    toy(115, 'toy_dacs', 'dacs_mitb0_toy_game2city', 'DACS, game -> city'),
    toy(117, 'toy_source_only', 'source_only_mitb0_toy_game2city', 'no adaptation, game -> city'),
    toy(118, 'toy_oracle', 'oracle_mitb0_toy_city', 'supervised on the target, city'),
    toy(
        120,
        'toyhr_hrda',
        'hrda_r18_toyhr_game2city',
        'HRDA, game -> city in twice the resolution',
        TOY_HR_DATA,
    ),
    toy(
        121,
        'toyhr_daformer',
        'daformer_r18_toyhr_game2city',
        'the same at half of its resolution: self-training as 110',
        TOY_HR_DATA,
    ),
    toy(
        122,
        'toyhr_source_only',
        'source_only_r18_toyhr_game2city',
        'the same at half of its resolution: no adaptation',
        TOY_HR_DATA,
    ),
    toy(
        125,
        'toy_mic',
        'mic_mitb0_toy_game2city',
        'self-training with masked image consistency, game -> city',
    ),
    toy(137, 'toy_adversarial', 'adversarial_mitb0_toy_game2city', 'AdvSeg, game -> city'),
    toy(138, 'toy_min_entropy', 'min_entropy_mitb0_toy_game2city', 'MinEnt, game -> city'),
    Experiment(
        140,
        'toy_sdca',
        (
            *TOY_DATA,
            *sdca_stages(
                'configs/toy/sdca_src_r18_toy_game2city.py',
                'configs/toy/sdca_r18_toy_game2city.py',
                'configs/toy/sdca_ssl_r18_toy_game2city.py',
                toy=True,
            ),
        ),
        note='SDCA, game -> city, with a ResNet-18 of half the width',
    ),
)
