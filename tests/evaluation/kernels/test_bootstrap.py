"""Poisson weights of resampled users."""

import numpy as np

from scalr.evaluation.kernels.bootstrap import resampled_ratios
from scalr.foundation.kernels.hashing import integer_keys

STREAM = np.uint64(7)


def test_weights_are_poisson_with_mean_one():
    """A user that is alone above the line and counts for nothing below shows its own weight."""
    keys = integer_keys(np.arange(2, dtype=np.int64))
    other = resampled_ratios(np.array([0.0, 1.0]), np.array([1.0, 0.0]), keys, STREAM, 40_000)
    ratio = other[np.isfinite(other)]  # weight 1 / weight 0, given weight 0 > 0
    zero = np.exp(-1)  # P(weight 0); bounds are 4 standard errors wide
    assert abs(len(ratio) / 40_000 - (1 - zero)) < 4 * np.sqrt(zero * (1 - zero) / 40_000)
    assert abs((ratio == 0).mean() - zero) < 4 * np.sqrt(zero * (1 - zero) / len(ratio))


def test_the_mean_weight_is_one():
    """The ratio to a constant side of many users is the mean weight over theirs: about 1 for both."""
    n = 5000
    weights = resampled_ratios(np.repeat([2.0, 0.0], n), np.ones(2 * n), integer_keys(np.arange(2 * n)), STREAM, 200)
    assert abs(weights.mean() - 1) < 4 / np.sqrt(n * 200)
    assert 0.5 < weights.std() * np.sqrt(n * 2) < 1.5


def test_equal_sides_have_ratio_one_and_order_does_not_matter():
    random = np.random.default_rng(0)
    above, below, keys = random.random(50), random.random(50) + 1, integer_keys(np.arange(50, dtype=np.int64))
    np.testing.assert_array_equal(resampled_ratios(below, below, keys, STREAM, 100), np.ones(100))
    forward = resampled_ratios(above, below, keys, STREAM, 100)
    order = random.permutation(50)
    np.testing.assert_allclose(resampled_ratios(above[order], below[order], keys[order], STREAM, 100), forward)


def test_no_weight_below_the_line_is_not_a_number():
    assert np.isnan(resampled_ratios(np.ones(1), np.zeros(1), np.ones(1, np.uint64), STREAM, 3)).all()
