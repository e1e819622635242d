import torch

from mmseg_uda.models import UDADataPreProcessor

MEAN = (10.0, 20.0, 30.0)


def test_bgr_networks_get_bgr_in_training_and_evaluation():
    preprocessor = UDADataPreProcessor(mean=MEAN, std=(1.0, 1.0, 1.0), to_bgr=True)
    rgb = torch.randint(256, (1, 3, 4, 5), dtype=torch.uint8)
    expected = rgb.flip(1).float() - torch.tensor(MEAN).view(3, 1, 1)
    batch = preprocessor({'source': {'image': rgb}})
    assert torch.equal(batch.source.images, expected)
    tested = preprocessor({'inputs': [rgb[0].flip(0)]}, training=False)  # as loaded: BGR
    assert torch.equal(tested['inputs'], expected)


def test_rgb_is_the_default():
    preprocessor = UDADataPreProcessor(mean=MEAN, std=(2.0, 2.0, 2.0))
    rgb = torch.randint(256, (1, 3, 4, 5), dtype=torch.uint8)
    expected = (rgb.float() - torch.tensor(MEAN).view(3, 1, 1)) / 2
    assert torch.equal(preprocessor({'source': {'image': rgb}}).source.images, expected)
