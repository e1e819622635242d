"""CaCo's fine-tuning: colour policies, and pairs of crops with given random draws."""

import tempfile
from unittest.mock import patch

from torch.utils.data import default_collate

from mmseg_uda.datasets import auto_augment, paired_crop
from mmseg_uda.datasets.auto_augment import POLICIES, AutoAugment, Choice
from mmseg_uda.datasets.paired_crop import PairedCrop
from mmseg_uda.datasets.transforms import PackDomain
from mmseg_uda.models.data_preprocessor import UDADataPreProcessor
from tests.golden.functions.pipelines import write_sample
from tests.golden.registry import Params, Results, golden, only

MEAN = 104.00698793, 116.66876762, 122.67891434
BGR = dict(mean=MEAN, std=(1, 1, 1), to_bgr=True)


class GivenDraws:
    """In the place of the module ``random``.

    Attributes:
        numbers: the results of ``random`` in order.
        integers: those of ``randint``.
        limits: the largest values that ``randint`` was asked for.
    """

    def __init__(self, numbers: list[float], integers: list[int]) -> None:
        self.numbers, self.integers = iter(numbers), iter(integers)
        self.limits: list[int] = []

    def random(self) -> float:
        return next(self.numbers)

    def randint(self, low: int, high: int) -> int:
        assert low == 0
        self.limits.append(high)
        return next(self.integers)


@golden('auto_augment_policies')
def auto_augment_policies(params: Params, inputs: Params) -> Results:
    bgr, images = inputs['image'][..., ::-1], []
    for ours, numbers in zip(POLICIES, params['policies'], strict=True):
        given = zip(numbers[::2], numbers[1::2], strict=True)
        policy = [
            Choice(choice.operation, *values) for choice, values in zip(ours, given, strict=True)
        ]
        augment = AutoAugment()
        augment.policies = [policy]
        with patch.object(auto_augment, 'random') as random:
            random.random.return_value = 0.0  # every operation with a probability above 0
            random.choice.side_effect = lambda options: (
                options[0] if len(options) == 1 else params['sign']
            )
            images.append(augment({'img': bgr})['img'][..., ::-1])
    return {'images': images}


@golden('pseudo_dataset_sample')
def pseudo_dataset_sample(params: Params, inputs: Params) -> Results:
    only(params, auto_augment=False)  # a case lists no random draws for it
    crop = PairedCrop(params['resize'], params['crop_size'])
    draws = GivenDraws(params['random'], params['crop_draws'])
    with tempfile.TemporaryDirectory() as folder:
        bgr = inputs['image'][..., ::-1]
        record = write_sample(folder, bgr, seg_map_path=inputs['labels'])
        with patch.object(paired_crop, 'random', draws):
            sample = PackDomain()(crop(record))
    assert draws.limits[:2] == params['crop_draw_limits'][:2]
    batch = UDADataPreProcessor(**BGR)({'source': default_collate([sample])}, training=True).source
    plain = batch.views['plain']
    return {
        'image': plain.images[0, 0],
        'labels': plain.labels[0, 0],
        'image_augmented': batch.images[0],
        'labels_augmented': batch.labels[0],
    }
