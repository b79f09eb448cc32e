"""Logistic factorisation against a slow, plain rewrite."""

import numpy as np
import pytest

from scalr.evaluation.kernels import factorization
from scalr.foundation.kernels.hashing import integer_keys

STREAM = np.uint64(12345)


def keys(n: int) -> np.ndarray:
    return integer_keys(np.arange(n, dtype=np.int64))


def test_first_factors_hang_on_the_key_alone():
    all_of_them = factorization.first_factors(keys(50), 6, STREAM, 0.05)
    backwards = factorization.first_factors(keys(50)[::-1].copy(), 6, STREAM, 0.05)
    fewer = factorization.first_factors(keys(50), 4, STREAM, 0.05)
    np.testing.assert_array_equal(all_of_them, backwards[::-1])
    np.testing.assert_array_equal(all_of_them[:, :4], fewer)


def test_first_factors_have_mean_zero_and_the_spread_asked_for():
    factors = factorization.first_factors(keys(20_000), 5, STREAM, 0.05)
    assert abs(factors.mean()) < 0.05 * 4 / np.sqrt(100_000)  # 4 standard errors
    assert factors.std() == pytest.approx(0.05, rel=0.02)


@pytest.mark.parametrize(("n_first", "n"), [(0, 0), (1, 1), (0, 7), (7, 7), (5, 40)])
def test_the_visiting_order_is_a_permutation(n_first, n):
    order = factorization.visiting_order(n_first, n, STREAM, 3)
    np.testing.assert_array_equal(np.sort(order), np.arange(n))


def test_further_rows_leave_the_order_of_the_first_ones_alone():
    alone = factorization.visiting_order(100, 100, STREAM, 2)
    for n in (101, 150, 1000):
        order = factorization.visiting_order(100, n, STREAM, 2)
        np.testing.assert_array_equal(order[order < 100], alone)
    assert not np.array_equal(alone, factorization.visiting_order(100, 100, STREAM, 3))


def test_the_two_classes_are_merged_uniformly():
    """Each place holds a row of the first class with probability 1 / 3; false alarm about 1e-4 (60 places, 4.8 sd)."""
    epochs = 3000
    share = np.zeros(60)
    for epoch in range(epochs):
        share += factorization.visiting_order(20, 60, STREAM, epoch) < 20
    error = np.sqrt(1 / 3 * 2 / 3 / epochs)
    assert np.abs(share / epochs - 1 / 3).max() < 4.8 * error


TWO_HEADS = np.array([0, 1], np.uint8)


def rows(user, item, weight, kind) -> np.ndarray:
    found = np.empty(len(user), factorization.ROW)
    found["user"], found["item"], found["weight"], found["kind"] = user, item, weight, kind
    return found


def penalty(real: float, synthetic: float) -> np.ndarray:
    return np.array([real, synthetic], np.float32)


def parameters(users: int = 9, items: int = 11, dimensions: int = 16):
    random = np.random.default_rng(0)
    shapes = ((users, dimensions), (items, dimensions), (2, items), (2, items), (2,))
    return factorization.Parameters(*(random.normal(0, 0.5, shape).astype(np.float32) for shape in shapes))


def negatives(catalogue: np.ndarray, per_row: int, n_first: int) -> factorization.Negatives:
    return factorization.Negatives((catalogue,) * 2, per_row, STREAM, n_first)


def test_an_epoch_follows_the_gradient_of_the_weighted_penalised_loss():
    """One row and its own negatives: the step is the gradient of sum(log loss) + l2 / 2 * squares, times the weight."""
    user_factors, item_factors, item_bias, item_prior, intercept = parameters()
    catalogue = np.array([2, 5, 7], np.int32)
    row = rows([4], [3], [0.7], [0]), np.array([0], np.int32)
    after = factorization.Parameters(*(x.copy() for x in parameters()))
    rate, l2 = 1e-3, 0.2
    factorization.run_epoch(after, *row, TWO_HEADS, negatives(catalogue, 1, 1), rate, penalty(l2, 9))
    touched = np.flatnonzero((after[1] != item_factors).any(axis=1))
    assert len(touched) == 2
    assert touched[touched != 3][0] in catalogue

    def loss(p: np.ndarray, q: np.ndarray, bias: np.ndarray, mu: float) -> float:
        """Of user 4 on the touched items; p, q and bias are their parameters."""
        label = touched == 3
        logits = mu + item_prior[0, touched] + bias + q @ p
        log_losses = np.logaddexp(0, np.where(label, -logits, logits))
        return 0.7 * (log_losses.sum() + l2 / 2 * (len(touched) * p @ p + (q**2).sum() + bias @ bias))

    start = [x.astype(float) for x in (user_factors[4], item_factors[touched], item_bias[0, touched])]
    for place, now in enumerate((after[0][4], after[1][touched], after[2][0, touched])):
        for index in np.ndindex(start[place].shape):
            up, down = ([x.copy() for x in start] for _ in range(2))
            up[place][index] += 1e-6
            down[place][index] -= 1e-6
            slope = (loss(*up, float(intercept[0])) - loss(*down, float(intercept[0]))) / 2e-6
            assert now[index] - start[place][index] == pytest.approx(-rate * slope, abs=2e-6)
    np.testing.assert_array_equal(after[2][1], item_bias[1])
    np.testing.assert_array_equal(after[3], item_prior)
    assert after[4][1] == intercept[1]


def test_an_auxiliary_row_moves_factors_but_not_the_real_head():
    before = parameters()
    after = factorization.Parameters(*(x.copy() for x in before))
    row = rows([4], [3], [1.0], [1]), np.array([0], np.int32)
    catalogue = np.arange(11, dtype=np.int32)
    factorization.run_epoch(after, *row, TWO_HEADS, negatives(catalogue, 4, 0), 0.1, penalty(0.03, 0.01))
    np.testing.assert_array_equal(after[2][0], before[2][0])
    assert after[4][0] == before[4][0]
    assert after[4][1] != before[4][1]
    assert (after[0][4] != before[0][4]).all()
    assert (after[1][3] != before[1][3]).all()


def test_negatives_of_the_first_rows_do_not_depend_on_the_rows_behind():
    """With no penalty and nothing shared, a first row touches the same items whatever stands behind it."""
    items = np.arange(1, 400, dtype=np.int32)

    def touched_by_first(n: int) -> np.ndarray:
        now = parameters(users=5, items=400)
        row = rows(np.arange(n), np.zeros(n), np.ones(n), np.arange(n) > 0)
        before = now.item_bias[0].copy()
        order = np.arange(n, dtype=np.int32)[::-1].copy()
        factorization.run_epoch(now, row, order, TWO_HEADS, negatives(items, 6, 1), 0.1, penalty(0.0, 0.0))
        return np.flatnonzero(before != now.item_bias[0])

    np.testing.assert_array_equal(touched_by_first(1), touched_by_first(5))


def test_a_block_of_scores_equals_single_scores_bit_for_bit():
    user_factors, item_factors, item_bias, _, intercept = parameters(users=7, items=2500, dimensions=19)
    users = np.array([3, 0, 6, 3], np.int32)
    columns = np.ascontiguousarray(item_factors.T)
    block = factorization.block_scores(user_factors, columns, item_bias[0], intercept[0], users)
    u, i = np.repeat(users, 2500), np.tile(np.arange(2500, dtype=np.int32), 4)
    single = factorization.pair_scores(user_factors, item_factors, item_bias[0], intercept[0], u, i)
    np.testing.assert_array_equal(block.ravel(), single)
    expected = intercept[0] + item_bias[0] + user_factors[users] @ item_factors.T
    np.testing.assert_allclose(block, expected, rtol=1e-4, atol=1e-5)
