import torch

from mmseg_uda.uda.components.class_mix import choose_classes, class_mask, label_presence, mix


def test_presence_counts_the_ignore_label_as_a_class():
    presence = label_presence(torch.tensor([[[0, 3], [255, 3]]]))
    assert presence.nonzero().flatten().tolist() == [0, 3, 255]


def test_half_of_the_present_classes_rounded_up_are_chosen():
    presence = label_presence(torch.tensor([[[0, 3, 7, 9, 255]]]))
    chosen = choose_classes(presence, torch.rand(50, 256))
    assert (chosen.sum(1) == 3).all()
    assert not (chosen & ~presence).any()


def test_every_class_is_chosen_equally_often():
    presence = label_presence(torch.tensor([[[1, 2, 4, 8]]]))
    keys = torch.rand(4000, 256, generator=torch.Generator().manual_seed(0))
    share = choose_classes(presence, keys).float().mean(0)[presence]
    assert torch.allclose(share, torch.full((4,), 0.5), atol=0.03)


def test_each_pixel_comes_from_where_the_mask_says():
    labels = torch.tensor([[[0, 3], [255, 5]], [[5, 5], [0, 3]]])
    chosen = torch.zeros(2, 256, dtype=torch.bool)
    chosen[0, [3, 255]] = True
    chosen[1, 0] = True
    mask = class_mask(labels, chosen)
    assert mask.tolist() == [[[False, True], [True, False]], [[False, False], [True, False]]]
    source, target = torch.ones(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)
    assert torch.equal(mix(mask, source, target), mask[:, None].float().expand(2, 3, 2, 2))
    assert torch.equal(mix(mask, labels, torch.full_like(labels, 9)), labels.where(mask, 9))
