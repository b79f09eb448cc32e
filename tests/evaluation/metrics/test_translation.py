"""Perplexity and calibration: closed forms."""

import math

import numpy as np
import pytest

from scalr.evaluation.metrics.translation import (
    calibration_curve,
    equal_mass_buckets,
    log_likelihoods,
    mean_over_pairs,
    perplexity,
)
from scalr.foundation.errors import SchemaError


def keys(n):
    return np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def test_the_uniform_law_has_the_perplexity_of_the_catalogue():
    likelihood = log_likelihoods(np.full(7, 1 / 50), 50)
    found = perplexity(mean_over_pairs(likelihood, np.ones(7), keys(7)))
    assert found.value == pytest.approx(50)
    assert found.interval == pytest.approx((50, 50))


def test_no_chance_costs_the_smoothing_alone_and_certainty_nearly_nothing():
    np.testing.assert_allclose(log_likelihoods(np.array([0.0, 1.0]), 20), np.log([0.05 / 20, 0.95 + 0.05 / 20]))


@pytest.mark.parametrize("wrong", [math.nan, -0.1, 1.1])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(SchemaError, match=r"not in \[0, 1\]"):
        log_likelihoods(np.array([0.5, wrong]), 10)


def test_the_interval_over_users_is_about_that_of_a_normal_mean():
    """400 users with one pair each: half width 1.96 · s / 20, within 10 % (resamples alone move it by about 3 %)."""
    sums = np.random.default_rng(1).normal(-5, 2, 400)
    found = mean_over_pairs(sums, np.ones(400), keys(400))
    half = 1.96 * sums.std() / 20
    assert found.value == pytest.approx(sums.mean())
    assert found.interval == pytest.approx((sums.mean() - half, sums.mean() + half), abs=0.1 * half)


def test_users_weigh_by_their_pairs_and_no_pairs_give_no_number():
    assert mean_over_pairs(np.array([-3.0, -1.0]), np.array([3.0, 1.0]), keys(2)).value == -1
    nothing = mean_over_pairs(np.zeros(0), np.zeros(0), keys(0))
    assert nothing.to_json() == {"value": None, "interval": [None, None], "level": 0.95}
    single = mean_over_pairs(np.array([-3.0]), np.ones(1), keys(1))
    assert single.to_json()["interval"] == [None, None]


def test_buckets_have_equal_mass_and_equal_numbers_stay_together():
    stated = np.random.default_rng(0).permutation(100) / 100
    assert np.bincount(equal_mass_buckets(stated)).tolist() == [10] * 10
    ordered = equal_mass_buckets(np.sort(stated))
    assert (np.diff(ordered) >= 0).all()
    assert equal_mass_buckets(np.array([0.5, 0.5, 0.5, 0.1])).tolist() == [1, 1, 1, 0]
    assert len(equal_mass_buckets(np.zeros(0))) == 0


def test_true_confidence_has_no_error_and_doubled_confidence_one_half():
    """Outcomes equal to their chance, so nothing is left to luck: errors are 0, 1/2 of the stated mean, and 1."""
    chance = np.linspace(0.01, 0.4, 200)
    user = np.arange(200) % 20
    exact = calibration_curve(chance, chance, user, keys(20))
    assert len(exact.buckets) == 10
    assert exact.error == pytest.approx(0, abs=1e-12)
    assert exact.ratio == pytest.approx(1)
    doubled = calibration_curve(2 * chance, chance, user, keys(20))
    assert doubled.error == pytest.approx(0.5)
    assert doubled.ratio == pytest.approx(2)
    never = calibration_curve(chance, 0 * chance, user, keys(20))
    assert never.error == pytest.approx(1)
    assert math.isnan(never.ratio)
    assert calibration_curve(chance[:0], chance[:0], user[:0], keys(20)).to_json()["error"] is None


def test_the_interval_of_a_bucket_holds_the_truth():
    """Bernoulli outcomes of 300 users: each of ten 95 % intervals misses with 5 %, five or more with 6e-5."""
    random = np.random.default_rng(3)
    chance = random.uniform(0.05, 0.6, 6000)
    found = calibration_curve(
        chance, (random.random(6000) < chance).astype(float), random.integers(0, 300, 6000), keys(300)
    )
    misses = [not one.observed.interval[0] <= one.stated <= one.observed.interval[1] for one in found.buckets]
    assert sum(misses) < 5
    assert found.error < 0.1
