import torch

from mmseg_uda.uda.components.draws import StepDraws
from mmseg_uda.uda.components.rescaling import rescale, rescaled_size


def test_sides_are_multiples_of_eight_with_halves_to_even():
    assert rescaled_size((200, 200), 82) == (160, 160)  # 20.5 cells
    assert rescaled_size((200, 120), 86) == (176, 104)  # 21.5 and 12.9 cells
    assert rescaled_size((512, 1024), 100) == (512, 1024)


def test_corners_stay_corners():
    images = torch.rand(1, 3, 32, 48)
    small = rescale(images, 83)
    assert small.shape == (1, 3, 24, 40)
    corners = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    assert all(torch.allclose(images[..., y, x], small[..., y, x]) for y, x in corners)


def test_percentages_are_drawn_uniformly_for_each_step():
    drawn = [StepDraws(0, step, batch_size=2).percentage(80, 120) for step in range(1500)]
    assert set(drawn) == set(range(80, 120))
    assert drawn[7] == StepDraws(0, 7, batch_size=1).percentage(80, 120)
