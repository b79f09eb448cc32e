"""User factors and the regression on them, against dense algebra."""

import numpy as np
import pytest
from tests.worlds import small_pair

from scalr.logs.simulation import simulate
from scalr.logs.stored import StoredPair
from scalr.synthesis.translators import affinity
from scalr.synthesis.translators.affinity import FitSample, Subspace, fit_affinity
from scalr.synthesis.translators.cooccurrence import target_histories

RIDGE = 0.5


def dense(log) -> np.ndarray:
    has = np.zeros((len(log.users), len(log.items)))
    has[log.user, log.item] = 1
    return has


def normalised(has: np.ndarray) -> np.ndarray:
    """Columns by the root of their degree, then rows to length 1."""
    scaled = has / np.sqrt(np.maximum(has.sum(axis=0), 1))
    return scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-12)


def fitted(pair, rank: int, most_pairs: int | None = None):
    target = target_histories(pair.target, None)
    return fit_affinity(StoredPair.from_pair(pair), target.start, target.item, rank, RIDGE, most_pairs)


def scores(found, pair) -> np.ndarray:
    own = dense(pair.target) * found.own_share[:, None]
    return found.user_factors @ found.item_factors.T - own


def test_the_subspace_holds_nearly_what_the_best_one_holds():
    pair = simulate(n_users=400, n_source_items=300, seed=1).pair
    best = np.linalg.svd(normalised(dense(pair.source)), compute_uv=False)
    matrix = affinity._matrix_of(StoredPair.from_pair(pair).source, len(pair.target.users))
    for rank in (8, 32):
        factors = Subspace.from_matrix(matrix, pair.source.items.keys, rank).rows(matrix)
        held = (factors.astype(float) ** 2).sum() / (best[:rank] ** 2).sum()
        assert 0.97 < held < 1 + 1e-5


def test_scores_are_those_of_a_regression_that_never_saw_the_user():
    """With all dimensions kept: leave one user out of the ridge regression and predict it, for every user."""
    pair = small_pair()
    found = fitted(pair, rank=8)
    x, y = normalised(dense(pair.source)), dense(pair.target)
    overlap = (x.any(axis=1)) & (y.any(axis=1))
    ours = scores(found, pair)
    for user in range(len(x)):
        others = overlap & (np.arange(len(x)) != user)
        inverse = np.linalg.inv(x[others].T @ x[others] + RIDGE * np.eye(x.shape[1]))
        np.testing.assert_allclose(ours[user], x[user] @ inverse @ x[others].T @ y[others], atol=2e-5)


def test_users_without_source_events_and_items_without_users_score_nothing():
    found = fitted(small_pair(), rank=5)
    pair = small_pair()
    without = ~dense(pair.source).any(axis=1)
    assert not found.user_factors[without].any()
    assert found.user_factors.shape[1] % 16 == 0
    assert not found.user_factors[:, 5:].any()


def test_more_dimensions_than_items_do_no_harm():
    few, many = fitted(small_pair(), rank=8), fitted(small_pair(), rank=30)
    np.testing.assert_allclose(scores(few, small_pair()), scores(many, small_pair()), atol=2e-5)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_no_bit(monkeypatch, threads):
    pair = simulate(n_users=300, n_source_items=120, seed=3).pair
    before = fitted(pair, rank=40)
    monkeypatch.setattr(affinity.os, "cpu_count", lambda: threads)
    after = fitted(pair, rank=40)
    for name in ("user_factors", "item_factors", "own_share"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))


def test_users_out_of_a_sample_are_scored_as_new_ones():
    """With all dimensions kept: everybody's score is that of a regression on the sample, without the user."""
    pair = simulate(n_users=120, n_source_items=30, n_target_items=20, seed=4).pair
    x, y = dense(pair.source), dense(pair.target)
    n_pairs, has_target = int(x.sum()), y.any(axis=1)
    sample = FitSample.from_counts(int(x[has_target].sum()), int(x[~has_target].sum()), n_pairs // 2)
    taken = sample.takes(pair.target.users.keys, has_target)
    assert 20 < taken.sum() < 100
    weight = 1 / np.sqrt(np.maximum(x[taken].sum(axis=0), 1)) * x[taken].any(axis=0)
    x = x * weight / np.maximum(np.linalg.norm(x * weight, axis=1, keepdims=True), 1e-12)
    ours = scores(fitted(pair, rank=30, most_pairs=n_pairs // 2), pair)
    for user in range(len(x)):
        others = taken & has_target & x.any(axis=1) & (np.arange(len(x)) != user)
        inverse = np.linalg.inv(x[others].T @ x[others] + RIDGE * np.eye(x.shape[1]))
        np.testing.assert_allclose(ours[user], x[user] @ inverse @ x[others].T @ y[others], atol=2e-5)


def test_a_log_within_the_bound_is_fitted_whole():
    pair = simulate(n_users=300, n_source_items=120, seed=3).pair
    whole, bounded = fitted(pair, rank=8), fitted(pair, rank=8, most_pairs=int(dense(pair.source).sum()))
    for name in ("user_factors", "item_factors", "own_share"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(bounded, name))


@pytest.mark.parametrize(
    ("shared", "other", "most", "shares"),
    [
        (30, 50, 100, (1, 1)),
        (80, 120, 100, (50 / 80, 50 / 120)),
        (10, 990, 100, (1, 90 / 990)),
        (900, 20, 100, (80 / 900, 1)),
    ],
)
def test_users_of_both_domains_get_half_of_the_pairs_if_they_have_as_many(shared, other, most, shares):
    sample = FitSample.from_counts(shared, other, most)
    assert (sample.shared, sample.other) == pytest.approx(shares)
    assert sample.is_whole == (shares == (1, 1))
