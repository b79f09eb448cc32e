"""Each loop against the dense formula."""

import numpy as np
import pytest

from scalr.foundation.kernels import lowrank
from scalr.foundation.kernels.machine import LANES, dot

RANDOM = np.random.default_rng(0)
N_USERS, N_ITEMS, RANK = 40, 25, 6


def matrix():
    """Return which user has which item, and the same by item."""
    has = RANDOM.random((N_USERS, N_ITEMS)) < 0.3
    start = np.concatenate([[0], np.cumsum(has.sum(axis=0))])
    user = np.concatenate([np.flatnonzero(has[:, j]) for j in range(N_ITEMS)]).astype(np.int32)
    return has, start, user


def singles(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("pieces", [[(0, RANK)], [(0, 2), (2, 5), (5, RANK)]])
def test_sums_over_items_are_a_matrix_product_whatever_the_pieces(pieces):
    has, start, user = matrix()
    weight, of_item = singles(N_ITEMS), singles(N_ITEMS, RANK)
    whole, of_user = np.zeros((N_USERS, RANK), np.float32), np.zeros((N_USERS, RANK), np.float32)
    lowrank.sum_over_items(start, user, weight, of_item, (0, RANK), whole)
    for columns in pieces:
        lowrank.sum_over_items(start, user, weight, of_item, columns, of_user)
    np.testing.assert_array_equal(of_user, whole)
    np.testing.assert_allclose(of_user, has @ (weight[:, None] * of_item), rtol=1e-4, atol=1e-5)


def test_sums_over_users_are_a_matrix_product():
    has, start, user = matrix()
    weight, of_user = singles(N_ITEMS), singles(N_USERS, RANK)
    of_item = np.full((N_ITEMS, RANK), np.nan, np.float32)
    for items in ((0, 7), (7, N_ITEMS)):
        lowrank.sum_over_users(start, user, weight, of_user, items, of_item)
    np.testing.assert_allclose(of_item, weight[:, None] * (has.T @ of_user), rtol=1e-4, atol=1e-5)


def test_columns_become_orthonormal_and_dependent_ones_zero():
    rows = singles(N_USERS, RANK)
    rows[:, 3] = rows[:, 0] - 2 * rows[:, 1]
    span = np.delete(rows, 3, axis=1).astype(float)
    everything = np.arange(N_USERS, dtype=np.int32)
    lowrank.orthonormal_rows(rows, lowrank.cholesky(lowrank.gram(rows, everything)))
    expected = np.diag(np.arange(RANK) != 3).astype(float)
    np.testing.assert_allclose(rows.T.astype(float) @ rows, expected, atol=1e-5)
    projector = span @ np.linalg.pinv(span)
    np.testing.assert_allclose(rows @ rows.T, projector, atol=1e-4)


def test_ridge_solutions_and_leverages_are_those_of_the_hat_matrix():
    rows, chosen = singles(N_USERS, RANK), np.arange(3, 30, dtype=np.int32)
    penalised = rows[chosen].T.astype(float) @ rows[chosen] + 0.7 * np.eye(RANK)
    lower = lowrank.cholesky(lowrank.gram(rows, chosen) + 0.7 * np.eye(RANK))
    np.testing.assert_allclose(lower @ lower.T, penalised, rtol=1e-6)
    hat = rows[chosen] @ np.linalg.solve(penalised, rows[chosen].T)
    np.testing.assert_allclose(lowrank.leverages(lower, rows, chosen), np.diag(hat), rtol=1e-5)
    solved = rows.copy()
    lowrank.solve_rows(lower, solved)
    np.testing.assert_allclose(solved, np.linalg.solve(penalised, rows.T).T, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("length", [LANES, 4 * LANES])
def test_inner_products_are_summed_in_the_written_order(length):
    """Lanes first, then halves onto halves, in single precision: the bits are the promise."""
    from numba import njit

    @njit
    def compiled(a, b):
        return dot(a, b)

    for _ in range(50):
        left, right = singles(length), singles(length)
        sums = np.zeros(LANES, np.float32)
        for at in range(0, length, LANES):
            sums += left[at : at + LANES] * right[at : at + LANES]
        while len(sums) > 1:
            sums = sums[: len(sums) // 2] + sums[len(sums) // 2 :]
        assert compiled(left, right) == sums[0]
