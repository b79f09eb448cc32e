"""Rows of an epoch: none lost, none dependent on others, mixed rows of the weight that they had."""

from dataclasses import fields

import numpy as np
import pytest

from scalr.evaluation.models.deep.rows import MemoryRows, RowSampling, TrainingRows, UniformNegatives, batches


def some(n: int, first: int = 0, weight: float = 1.0, seed: int = 0) -> TrainingRows:
    random = np.random.default_rng(seed)
    return TrainingRows(
        np.arange(first, first + n),
        random.integers(0, 9, n).astype(np.int32),
        random.integers(0, 7, n).astype(np.int32),
        np.full(n, weight, np.float32),
        np.full(n, first > 0),
    )


def sources(n_real: int, n_further: int, weight: float = 0.3):
    real = MemoryRows(some(n_real), RowSampling(3, mixed=False))
    return real, MemoryRows(some(n_further, n_real, weight), RowSampling(3, mixed=True))


def same(one: TrainingRows, other: TrainingRows) -> bool:
    return all(np.array_equal(getattr(one, name.name), getattr(other, name.name)) for name in fields(TrainingRows))


@pytest.mark.parametrize(("n_real", "n_further", "size"), [(100, 0, 7), (100, 400, 16), (1, 3, 50), (64, 640, 64)])
def test_a_pass_visits_every_real_row_once_and_each_batch_has_its_share(n_real, n_further, size):
    pair = sources(n_real, n_further)
    n_batches, pass_ = batches(pair, 2, size)
    found = list(pass_)
    assert len(found) == n_batches
    assert max(map(len, found)) <= size + 1
    whole = TrainingRows.joined(found)
    assert sorted(whole.number[~whole.is_synthetic].tolist()) == list(range(n_real))
    assert len(np.unique(whole.number)) == len(whole) == n_real + pair[1].count(2)
    real = np.array([(~rows.is_synthetic).sum() for rows in found])
    assert real.max() - real.min() <= 1


def test_an_empty_source_changes_nothing():
    alone = batches(sources(50, 0)[:1], 1, 8)
    beside = batches(sources(50, 0), 1, 8)
    assert alone[0] == beside[0]
    assert all(same(one, other) for one, other in zip(alone[1], beside[1], strict=True))


def test_real_rows_keep_their_order_and_negatives_beside_further_ones():
    catalogue = np.arange(7, dtype=np.int32)
    negatives = UniformNegatives(3, 4, catalogue, catalogue)
    alone, beside = (TrainingRows.joined(list(batches(sources(50, n), 4, 8)[1])) for n in (0, 500))
    real = beside.take(~beside.is_synthetic)
    assert same(alone, real)
    np.testing.assert_array_equal(negatives.items(alone, 4), negatives.items(real, 4))
    assert not np.array_equal(negatives.items(alone, 4), negatives.items(alone, 5))


@pytest.mark.parametrize("weight", [0.05, 0.5, 1.0, 3.0])
def test_mixed_rows_weigh_in_expectation_what_they_weighed(weight):
    rows = some(20_000, 5, weight)
    kept = RowSampling(1, mixed=True).kept(rows, 0)
    chance = min(weight, 1.0)
    error = 5 * np.sqrt(20_000 * chance * (1 - chance))  # 5 standard errors
    assert abs(len(kept) - 20_000 * chance) <= error
    np.testing.assert_array_equal(kept.weight, np.float32(max(weight, 1.0)))
    again = RowSampling(1, mixed=True).kept(rows, 1)
    assert np.array_equal(kept.number, again.number) == (weight >= 1)


def test_negatives_are_uniform_and_each_kind_has_its_catalogue():
    rows = TrainingRows.joined([some(6000), some(6000, 6000)])
    real, synthetic = np.array([0, 1, 2], np.int32), np.array([5, 6], np.int32)
    items = UniformNegatives(0, 3, real, synthetic).items(rows, 0)
    np.testing.assert_array_equal(items[:, 0], rows.item)
    for catalogue, drawn in ((real, items[:6000, 1:]), (synthetic, items[6000:, 1:])):
        counts = [(drawn == item).sum() for item in catalogue]
        assert sum(counts) == drawn.size
        assert max(counts) / min(counts) < 1.1
