"""Comparisons against SciPy, and on worlds where the change is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scalr.evaluation.metrics.comparison import (
    bootstrap_relative_change,
    paired_relative_change,
    student_t_cdf,
    student_t_quantile,
)
from scalr.foundation.errors import SchemaError
from scalr.foundation.kernels.hashing import integer_keys


@given(st.floats(-60, 60), st.integers(1, 400))
def test_student_t_agrees_with_scipy(t, degrees):
    assert student_t_cdf(t, degrees) == pytest.approx(stats.t.cdf(t, degrees), rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("degrees", [1, 2, 4, 9, 30, 1000])
@pytest.mark.parametrize("probability", [0.005, 0.025, 0.3, 0.5, 0.9, 0.975, 0.9995])
def test_quantiles_agree_with_scipy(probability, degrees):
    expected = stats.t.ppf(probability, degrees)
    assert student_t_quantile(probability, degrees) == pytest.approx(expected, rel=1e-9, abs=1e-11)


def test_paired_change_agrees_with_the_one_sample_t_test():
    baseline, arm = np.array([1.0, 2.0, 4.0, 5.0]), np.array([0.9, 1.9, 3.9, 5.2])
    change = arm / baseline - 1
    result = paired_relative_change(arm, baseline, level=0.9)
    expected = stats.ttest_1samp(change, 0)
    assert result.relative_change == pytest.approx(change.mean())
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert result.interval == pytest.approx(tuple(expected.confidence_interval(0.9)), rel=1e-9)
    assert result.n == 4


def test_one_seed_has_no_interval_and_missing_seeds_are_left_out():
    single = paired_relative_change(np.array([0.9]), np.array([1.0]))
    assert single.relative_change == pytest.approx(-0.1)
    assert single.to_json() == {
        "relative_change": single.relative_change,
        "interval": [None, None],
        "level": 0.95,
        "p_value": None,
    }
    assert paired_relative_change(np.array([0.9, math.nan, 1.1]), np.array([1.0, 1.0, 1.0])).n == 2
    assert math.isnan(paired_relative_change(np.array([1.0]), np.array([0.0])).relative_change)


def test_the_same_change_in_every_seed_is_certain():
    same = paired_relative_change(np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    assert (same.relative_change, same.interval, same.p_value) == (0.0, (0.0, 0.0), 1.0)
    half = paired_relative_change(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    assert (half.relative_change, half.interval, half.p_value) == (-0.5, (-0.5, -0.5), 0.0)


def users(n: int) -> np.ndarray:
    return integer_keys(np.arange(n, dtype=np.int64))


def test_the_bootstrap_interval_agrees_with_the_delta_method():
    random = np.random.default_rng(0)
    baseline = random.gamma(3, size=2000)
    arm = baseline * 0.98 + random.normal(0, 0.2, 2000)
    result = bootstrap_relative_change(arm, baseline, users(2000))
    ratio = arm.sum() / baseline.sum()
    error = np.std(arm - ratio * baseline) / baseline.mean() / np.sqrt(2000)
    assert result.relative_change == pytest.approx(ratio - 1)
    expected = ratio - 1 - 1.96 * error, ratio - 1 + 1.96 * error
    assert result.interval == pytest.approx(expected, abs=0.15 * error)
    assert result.p_value < 0.01


def test_the_bootstrap_covers_no_change_when_there_is_none():
    """Of 200 null worlds about 10 exclude 0; false alarm below 1e-3 for the bounds (binomial)."""
    random = np.random.default_rng(1)
    outside = 0
    for seed in range(200):
        arm, baseline = random.gamma(3, size=(2, 300))
        low, high = bootstrap_relative_change(arm, baseline, users(300), seed=seed, resamples=400).interval
        outside += not low <= 0 <= high
    assert 2 <= outside <= 22


def test_the_bootstrap_depends_on_the_seed_alone():
    random = np.random.default_rng(2)
    arm, baseline = random.random((2, 50))
    one, same, other = (bootstrap_relative_change(arm, baseline, users(50), seed=seed) for seed in (3, 3, 4))
    assert one == same
    assert one.interval != other.interval


def test_shapes_must_agree():
    with pytest.raises(SchemaError, match="cannot be paired"):
        paired_relative_change(np.ones(2), np.ones(3))
    with pytest.raises(SchemaError, match="cannot be paired"):
        bootstrap_relative_change(np.ones(2), np.ones(3), users(3))
