"""SDCA (Li et al., 2021) and FADA (Wang et al., ECCV 2020), from which it comes.

SDCA's batches are those of four GPUs together.
"""

from dataclasses import replace

from experiments.rows import trained
from mmseg_uda.experiments.experiment import Experiment, Stage


def sdca_stages(
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
            call='mmseg_uda.preparation.class_distributions:initialise_statistics',
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


def fada_stages(source: str, adaptation: str) -> tuple[Stage, ...]:
    """FADA: training on the source, without SDCA's Lovász loss, then adaptation."""
    train, test = trained(adaptation)
    options = {'model.segmentor.lovasz_weight': 0.0}
    train = replace(train, options={'load_from': '{source.checkpoint}'})
    return Stage('source', source, options=options), train, test


def sdca(
    id: int, setting: str, what: str, published: float | None = None, metric: str = 'mIoU'
) -> Experiment:
    """A row with the stages of ``configs/sdca/{src,sdca,ssl}_<setting>.py``."""
    stages = sdca_stages(
        *(f'configs/sdca/{stage}_{setting}.py' for stage in ('src', 'sdca', 'ssl'))
    )
    return Experiment(id, f'sdca_{setting}', stages, published, metric, f'SDCA, {what}')


ROWS = (
    sdca(40, 'r101_gta2cs', 'ResNet-101, GTA -> Cityscapes', 52.9),
    sdca(41, 'r101_synthia2cs', 'ResNet-101, SYNTHIA -> Cityscapes, 16 classes', 50.2),
    sdca(42, 'vgg16_gta2cs', 'VGG-16, GTA -> Cityscapes', 47.3),
    sdca(43, 'vgg16_synthia2cs', 'VGG-16, SYNTHIA -> Cityscapes, 16 classes', 43.5),
    sdca(44, 'r101_cs2rio', 'ResNet-101, Cityscapes -> Rio (Cross-City)', metric='mIoU13'),
    sdca(45, 'r101_cs2rome', 'ResNet-101, Cityscapes -> Rome (Cross-City)', metric='mIoU13'),
    sdca(46, 'r101_cs2taipei', 'ResNet-101, Cityscapes -> Taipei (Cross-City)', metric='mIoU13'),
    sdca(47, 'r101_cs2tokyo', 'ResNet-101, Cityscapes -> Tokyo (Cross-City)', metric='mIoU13'),
    Experiment(
        48,
        'fada_r101_gta2cs',
        fada_stages('configs/sdca/src_r101_gta2cs.py', 'configs/fada/fada_r101_gta2cs.py'),
        note='FADA without its self-distillation, ResNet-101, GTA -> Cityscapes',
    ),
)
