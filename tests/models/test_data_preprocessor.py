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


def test_each_domain_has_its_own_statistics():
    """Views and day images, too; padding is 0 after normalisation, in the images alone."""
    preprocessor = UDADataPreProcessor(
        mean=MEAN, std=(2.0, 2.0, 2.0), source=dict(mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 8.0))
    )
    rgb = torch.randint(256, (2, 3, 4, 5), dtype=torch.uint8)
    padding = torch.zeros(2, 4, 5, dtype=torch.uint8)
    padding[0, 1:, 3] = 1
    views = dict(clean=dict(image=rgb[:, None], geometry=torch.zeros(2, 1, 2, 3)))
    domain = dict(image=rgb, day=rgb, padding=padding, views=views)
    batch = preprocessor(dict(source=domain, target=domain))
    for name, mean, std in (('source', (1, 2, 3), (4, 5, 8)), ('target', MEAN, (2, 2, 2))):
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (mean, std))
        expected, got = (rgb.float() - mean) / std, getattr(batch, name)
        assert torch.equal(got.day, expected)
        assert torch.equal(got.views['clean'].images[:, 0], expected)
        assert torch.equal(got.images, expected.where(padding[:, None] == 0, 0))


def test_the_sources_mean_alone_may_differ():
    preprocessor = UDADataPreProcessor(
        mean=MEAN, std=(2.0, 2.0, 2.0), to_bgr=True, source=dict(mean=(1.0, 2.0, 3.0))
    )
    rgb = torch.randint(256, (1, 3, 4, 5), dtype=torch.uint8)
    expected = (rgb.flip(1).float() - torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)) / 2
    assert torch.equal(preprocessor(dict(source=dict(image=rgb))).source.images, expected)
