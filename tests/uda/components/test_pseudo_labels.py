import torch

from mmseg_uda.uda.components.pseudo_labels import confident_labels, ignore_margins, pseudo_labels


def test_weight_is_the_confident_share_of_the_whole_batch():
    logits = torch.zeros(2, 4, 2, 5)
    logits[0, 1, 0] = 20.0  # 5 of 20 pixels are certain, all in the first image
    result = pseudo_labels(logits.softmax(1), 0.9)
    assert torch.equal(result.weight, torch.full((2, 2, 5), 0.25))
    assert (result.labels[0, 0] == 1).all()
    assert torch.allclose(result.confidence[1], torch.full((2, 5), 0.25))


def test_margins_lose_their_weight_and_nothing_else():
    weight = torch.full((1, 10, 3), 0.5)
    kept = ignore_margins(weight, top=2, bottom=3)
    assert kept[0, :, 0].tolist() == [0, 0, 0.5, 0.5, 0.5, 0.5, 0.5, 0, 0, 0]
    assert (weight == 0.5).all()
    assert torch.equal(ignore_margins(weight, 0, 0), weight)


def test_only_confident_cells_are_labelled():
    probabilities = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.1, 0.89, 0.01]])
    logits = probabilities.log().T.view(1, 3, 1, 3)
    assert confident_labels(logits, 0.55).flatten().tolist() == [255, 2, 1]
    assert confident_labels(logits, 0.9).flatten().tolist() == [255, 255, 255]
    assert confident_labels(torch.zeros(1, 2, 1, 1), 0.5).item() == 0  # at the threshold
