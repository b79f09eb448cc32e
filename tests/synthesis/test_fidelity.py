"""Distances between marginals against SciPy and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from scalr.foundation.errors import SchemaError
from scalr.synthesis.fidelity import total_variation, wasserstein


@given(st.integers(0, 10**6))
def test_wasserstein_agrees_with_scipy(seed):
    random = np.random.default_rng(seed)
    real, synthetic = random.normal(size=random.integers(1, 30)).round(1), random.normal(size=random.integers(1, 30))
    weights = random.random(len(real)), random.random(len(synthetic))
    assert wasserstein(real, synthetic) == pytest.approx(wasserstein_distance(real, synthetic), rel=1e-9, abs=1e-12)
    expected = wasserstein_distance(real, synthetic, *weights)
    assert wasserstein(real, synthetic, *weights) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_moving_everything_by_three_is_a_distance_of_three():
    values = np.array([1.0, 2.0, 2.0, 9.0])
    assert wasserstein(values, values + 3) == pytest.approx(3.0)
    assert wasserstein(values, values[::-1]) == 0.0


def test_total_variation_by_hand():
    assert total_variation(np.array([2.0, 2.0]), np.array([5.0, 5.0])) == 0.0
    assert total_variation(np.array([4.0, 0.0]), np.array([0.0, 1.0])) == 1.0
    assert total_variation(np.array([1.0, 1.0]), np.array([3.0, 1.0])) == pytest.approx(0.25)


def test_a_side_without_weight_is_refused():
    with pytest.raises(SchemaError, match="the synthetic side has 0 values"):
        wasserstein(np.ones(2), np.empty(0))
    with pytest.raises(SchemaError, match="the real side has 2 values of weight 0"):
        total_variation(np.zeros(2), np.ones(2))
