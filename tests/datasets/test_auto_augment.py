import random

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from mmseg_uda.datasets import auto_augment
from mmseg_uda.datasets.auto_augment import POLICIES, SIGNED, AutoAugment, Choice
from mmseg_uda.datasets.image_operations import OPERATIONS
from mmseg_uda.random import counter_random

RGB = np.random.default_rng(0).integers(20, 200, (8, 12, 3), dtype=np.uint8)
PICTURE = Image.fromarray(RGB)


@pytest.mark.parametrize(
    ('name', 'amount', 'expected'),
    [
        ('autocontrast', None, ImageOps.autocontrast(PICTURE)),
        ('equalize', None, ImageOps.equalize(PICTURE)),
        ('invert', None, Image.fromarray(255 - RGB)),
        ('posterize', 5.0, Image.fromarray(RGB & 0b11111000)),
        ('solarize', 113.78, Image.fromarray(np.where(RGB < 113.78, RGB, 255 - RGB))),
        ('saturation', 0.0, PICTURE.convert('L').convert('RGB')),
        ('contrast', 1.8, ImageEnhance.Contrast(PICTURE).enhance(1.8)),
        ('sharpness', 0.3, ImageEnhance.Sharpness(PICTURE).enhance(0.3)),
    ],
)
def test_operations(name, amount, expected):
    found = OPERATIONS[name](PICTURE, amount)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_the_table_of_operations_is_what_the_policies_use():
    used = {choice.operation for policy in POLICIES for choice in policy}
    assert used == set(OPERATIONS) and len(POLICIES) == 18
    for choice in (choice for policy in POLICIES for choice in policy):
        assert (choice.amount is None) == (
            choice.operation in ('autocontrast', 'equalize', 'invert')
        )


def test_published_amounts():
    """In the published order, rounded to one digit after the point."""
    amounts = [c.amount for policy in POLICIES for c in policy if c.amount is not None]
    assert [round(amount, 1) for amount in amounts] == (
        [113.8, 5, 5, 142.2, 170.7, 6, 5, 0.4, 0.8, 0.8, 56.9, 0.7, 0, 142.2, 113.8, 0.4, 0.8]
    )


@pytest.mark.parametrize('operation', SIGNED)
def test_changes_have_both_directions(operation, monkeypatch):
    factors = set()
    monkeypatch.setitem(OPERATIONS, operation, lambda image, factor: factors.add(factor) or image)
    random.seed(0)
    for _ in range(20):
        Choice(operation, 1.0, 0.4).apply(PICTURE)
    assert factors == {0.6, 1.4}


@pytest.mark.parametrize('probability', [0.0, 0.4, 1.0])
def test_an_operation_is_applied_with_its_probability(probability):
    random.seed(0)
    inverted = sum(Choice('invert', probability).apply(PICTURE) is not PICTURE for _ in range(500))
    assert abs(inverted / 500 - probability) < 0.06 * (0 < probability < 1) + 1e-9


def test_every_policy_is_drawn(monkeypatch):
    drawn = []
    monkeypatch.setattr(Choice, 'apply', lambda choice, image: drawn.append(choice) or image)
    random.seed(0)
    for _ in range(300):
        AutoAugment()({'img': RGB})
    policies = set(zip(drawn[::2], drawn[1::2], strict=True))
    assert policies == set(POLICIES)


def test_images_are_bgr_and_depend_on_pythons_generator_alone(monkeypatch):
    monkeypatch.setattr(auto_augment.AutoAugment, 'policies', [(Choice('equalize', 1.0),)])
    bgr = RGB[..., ::-1]
    found = AutoAugment()({'img': bgr})['img']
    np.testing.assert_array_equal(found[..., ::-1], np.asarray(ImageOps.equalize(PICTURE)))
    monkeypatch.undo()
    pictures = []
    for position in (1, 1, 2):
        with counter_random(0, position):
            pictures.append([AutoAugment()({'img': bgr})['img'] for _ in range(6)])
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert (np.array(pictures[0]) != pictures[2]).any()
