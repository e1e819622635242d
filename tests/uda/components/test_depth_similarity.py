import numpy as np
import torch

from mmseg_uda.uda.components.depth_similarity import (
    NUM_BINS,
    DepthSimilarity,
    depth_histograms,
    distribution_tables,
)
from tests.precision import assert_same

CLASSES = 5


def scene(images=3, size=24, seed=0):
    """Labels (with 255) and fractional depths."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES + 1, (images, size // 4, size // 4), generator=rng)
    labels = labels.masked_fill(labels == CLASSES, 255)
    labels = labels.repeat_interleave(4, 1).repeat_interleave(4, 2)
    depth = torch.rand(images, size, size, generator=rng) * 40 + 10 * labels.clamp(max=9)
    return labels, depth


def tables_of(seed, images=3):
    return distribution_tables(*scene(images, seed=seed), CLASSES)


def plain_similarities(bank, table):
    """The formula as the paper states it: bank (N, C, D), table (C, D), pair by pair."""
    scores, classes = [], []
    for row in bank:
        total, per_class = 0.0, []
        for s, t in zip(row, table, strict=True):
            lengths = s.norm() * t.norm()
            cosine = s @ t / lengths if lengths > 0 else torch.tensor(0.0)
            both = s.sum() + t.sum()
            distance = (s - t).abs().sum() / both if both > 0 else torch.tensor(0.0)
            per_class.append((cosine + 1 - distance) / 2 if t.sum() > 0 else 0 * cosine)
            total += per_class[-1]
        n, m = row.sum(1), table.sum(1)
        lengths = n.norm() * m.norm()
        scores.append(total * (n @ m / lengths if lengths > 0 else 0))
        classes.append(torch.stack(per_class))
    return torch.stack(scores), torch.stack(classes)


def test_tables_count_pixels_by_class_and_whole_depth():
    labels, depth = scene()
    tables = distribution_tables(labels, depth, CLASSES)
    for image in range(len(labels)):
        for train_id in range(CLASSES):
            bins = depth[image][labels[image] == train_id].int().numpy()
            expected = np.bincount(bins, minlength=NUM_BINS)
            assert (tables[image, train_id].numpy() == expected).all()


def test_tables_of_ignored_pixels_are_empty():
    labels, depth = scene()
    assert not distribution_tables(torch.full_like(labels, 255), depth, CLASSES).any()


def test_the_limits_of_depth_are_bins():
    depth = torch.tensor([[[0.0, 255.0], [255.0, 254.99]]])
    histogram = depth_histograms(depth)[0]
    assert histogram[[0, 254, 255]].tolist() == [1, 1, 2] and histogram.sum() == 4
    assert depth_histograms(depth, whole_only=True)[0, [0, 254, 255]].tolist() == [1, 0, 2]


def test_the_search_is_the_plain_formula(float64):
    bank = torch.cat([tables_of(seed) for seed in range(1, 8)])
    bank[3] = 0  # an empty row
    tables = tables_of(0)
    tables[1, 2] = 0  # a class that one image lacks
    similarity = DepthSimilarity(bank.transpose(0, 1).contiguous())
    scores, match = similarity.image_similarities(tables), similarity.search(tables)
    for image, table in enumerate(tables):
        expected, classes = plain_similarities(bank, table)
        assert_same(scores[image], expected)
        best = int(expected.argmax())
        assert match.rows[image] == best
        assert_same(match.class_similarity[image], classes[best])
        mean = expected[best] / (table.sum(1) > 0).sum()
        assert_same(match.similarity[image], mean)
        assert torch.equal(match.tables[image], bank[best])


def test_an_image_is_most_similar_to_itself(float64):
    bank = torch.cat([tables_of(seed) for seed in range(4)])
    match = DepthSimilarity(bank.transpose(0, 1).contiguous()).search(bank)
    assert match.rows.tolist() == list(range(len(bank)))
    assert_same(match.similarity, torch.ones(len(bank)))


def test_of_equal_rows_the_first_is_found():
    row = tables_of(1, images=1)
    bank = torch.cat([tables_of(2), row, row, row]).transpose(0, 1).contiguous()
    assert DepthSimilarity(bank).search(row).rows.item() == 3


def test_without_valid_pixels_the_similarity_is_nan():
    tables = torch.zeros(2, CLASSES, NUM_BINS)
    tables[1] = tables_of(0, images=1)
    match = DepthSimilarity(tables_of(1).transpose(0, 1).contiguous()).search(tables)
    assert match.rows[0] == 0 and match.similarity[0].isnan() and match.similarity[1] > 0
    assert not (match.similarity > 0)[0]


def test_the_bank_is_read_where_it_lies_and_enters_no_checkpoint():
    bank = tables_of(0).transpose(0, 1).contiguous()
    similarity = DepthSimilarity(bank)
    assert similarity.counts.data_ptr() == bank.data_ptr()
    assert not similarity.state_dict()


def test_counts_keep_their_digits_inside_autocast():
    bank = torch.cat([tables_of(seed) for seed in range(3)]) * 1000 + 1
    similarity = DepthSimilarity(bank.transpose(0, 1).contiguous())
    tables = tables_of(5) * 1000 + 1
    expected = similarity.image_similarities(tables)
    with torch.autocast('cpu', torch.bfloat16):
        found = similarity.image_similarities(tables)
    assert torch.equal(found, expected)
