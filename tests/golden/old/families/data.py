"""Which samples and crops are drawn for training, and how predictions are scored."""

import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from mmcv.transforms import RandomFlip

from mmseg_uda.datasets.labels import SYNTHIA_13, SYNTHIA_16
from mmseg_uda.datasets.rare_class_sampling import RareClassSampling, class_probabilities
from mmseg_uda.datasets.statistics import CLASS_STATS, SAMPLES_WITH_CLASS
from mmseg_uda.datasets.transforms import LabelFirstCrop, random_crop_box, rescale_size
from mmseg_uda.evaluation.metrics import confusion_matrix
from mmseg_uda.evaluation.scores import scores

from ..cases import Case
from . import Results, family


@family('daformer', 'rcs')
def class_sampling(case: Case) -> Results:
    results = {}
    for temperature in case.params['temperatures']:
        drawn = class_probabilities(case.params['sample_class_stats'], float(temperature))
        results[f'classes_T{temperature}'], results[f'probs_T{temperature}'] = drawn
    return results


@family('daformer', 'rcs_files')
def file_sampling(case: Case) -> Results:
    params = case.params
    with tempfile.TemporaryDirectory() as root:
        for file, key in ((CLASS_STATS, 'sample_class_stats'), (SAMPLES_WITH_CLASS,) * 2):
            Path(root, file).write_text(json.dumps(params[Path(key).stem]))
        sampling = RareClassSampling(
            root, class_temp=params.get('class_temp', 0.01), min_pixels=params['min_pixels']
        )
    sampling.find_files(params['dataset_order'])
    np.random.seed(0)
    for train_id, index in (sampling.draw() for _ in range(1000)):
        assert params['dataset_order'][index] in sampling.files[train_id]
    return {
        'probs': sampling.probabilities,
        'params.class_order': sampling.classes,
        'params.files': {train_id: sampling.files[train_id] for train_id in sampling.classes},
    }


@family('daformer', 'random_crop')
def random_crop(case: Case) -> Results:
    label = case.input('labels')
    np.random.seed(case.params['numpy_seed'])
    crops = []
    for _ in range(case.params['draws']):
        y1, y2, x1, x2 = random_crop_box(
            label, case.params['crop_size'], case.params['cat_max_ratio']
        )
        crops.append((y1, x1, y2 - y1, x2 - x1))
    return {'crops': crops}


@family('daformer', 'rescale_size')
def rescaled_sizes(case: Case) -> Results:
    """The table holds the arguments (image and limits, width first) in its first four columns."""
    arguments = case.outputs['table'].expected[:, :4].tolist()
    return {'table': [[*row, *rescale_size(tuple(row[:2]), tuple(row[2:]))] for row in arguments]}


@family('daformer', 'pseudo_margins')
def validity(case: Case) -> Results:
    params = case.params
    height, width = params['native']
    resized = rescale_size((width, height), tuple(params['scale']))[::-1]
    with tempfile.TemporaryDirectory() as folder:
        path = f'{folder}/image.png'
        cv2.imwrite(path, np.zeros((height, width, 3), np.uint8))
        results = {}
        for name, size in (('resized', resized), ('crop', params['crop'])):
            np.random.seed(params['numpy_seed'])
            crop = LabelFirstCrop(params['scale'], size, margins=params['margins'])
            sample = crop({'img_path': path})
            if name == 'crop' and params.get('flip'):
                sample = RandomFlip(prob=1.0, direction='horizontal')(sample)
            results[f'{name}_rows'] = sample['valid'].max(axis=1)
            results[f'{name}_columns'] = sample['valid'].max(axis=0)
    return results


@family('daformer', 'miou')
def scored(case: Case) -> Results:
    number = case.params['num_classes']
    prediction = torch.as_tensor(case.input('pred'))
    truth = torch.as_tensor(case.input('gt', 'ground truth', 'label'))
    subsets = {'mIoU16': SYNTHIA_16, 'mIoU13': SYNTHIA_13}
    result = scores(confusion_matrix(prediction, truth, number), subsets)
    means = {name: mean.iou for name, mean in result.means().items()}
    return {
        'iou': result.iou,
        'acc': result.acc,
        'aAcc': result.aacc,
        'mAcc': result.macc,
        **means,
        'mIoU16_by_formula': result.miou * number / len(SYNTHIA_16),
    }
