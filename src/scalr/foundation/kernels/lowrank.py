"""Low-rank factors of a user-item matrix sorted by item, and ridge regression on them.

Threads share the work by columns of the factors, or by items, so the order of every sum is fixed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from scalr.foundation.arrays import Codes, Floats, Int64, Keys, Singles
from scalr.foundation.kernels.hashing import combine, unit

U64 = np.uint64
DEPENDENT = 1e-12  # pivots below this share of the largest diagonal entry count as linearly dependent


@njit(cache=True, nogil=True)
def first_columns(keys: Keys, rank: int, stream: Any) -> Singles:
    """Return uniform numbers in [-0.5, 0.5), shape (n, rank), a row per key."""
    columns = np.empty((keys.shape[0], rank), np.float32)
    for x in range(keys.shape[0]):
        key = combine(stream, keys[x])
        for d in range(rank):
            columns[x, d] = unit(key, d) - 0.5
    return columns


@njit(cache=True, nogil=True)
def sum_over_items(
    item_start: Int64, user: Codes, item_weight: Singles, of_item: Singles, columns: tuple[int, int], of_user: Singles
) -> None:
    """Add item_weight[j] · of_item[j] to the row of every user of every item j, for a range of columns.

    Args:
        item_start: Shape (n_items + 1,), offset of each item's first user.
        user: Shape (n,), users by item.
        item_weight: Shape (n_items,).
        of_item: Shape (n_items, rank).
        columns: First column, and the end.
        of_user: Shape (n_users, rank), changed.
    """
    first, last = columns
    row = np.empty(last - first, np.float32)
    for j in range(item_start.shape[0] - 1):
        for d in range(row.shape[0]):
            row[d] = item_weight[j] * of_item[j, first + d]
        for x in range(item_start[j], item_start[j + 1]):
            total = of_user[user[x], first:last]
            for d in range(row.shape[0]):
                total[d] += row[d]


@njit(cache=True, nogil=True)
def sum_over_users(
    item_start: Int64, user: Codes, item_weight: Singles, of_user: Singles, items: tuple[int, int], of_item: Singles
) -> None:
    """Set of_item[j] = item_weight[j] · (sum of the rows of the users of item j), for a range of items.

    Args:
        item_start: Shape (n_items + 1,), offset of each item's first user.
        user: Shape (n,), users by item.
        item_weight: Shape (n_items,).
        of_user: Shape (n_users, rank).
        items: First item, and the end.
        of_item: Shape (n_items, rank), changed.
    """
    total = np.empty(of_user.shape[1], np.float32)
    for j in range(items[0], items[1]):
        total[:] = np.float32(0.0)
        for x in range(item_start[j], item_start[j + 1]):
            row = of_user[user[x]]
            for d in range(total.shape[0]):
                total[d] += row[d]
        for d in range(total.shape[0]):
            of_item[j, d] = item_weight[j] * total[d]


@njit(cache=True, nogil=True)
def scale_rows(rows: Singles, factor: Singles) -> None:
    """Multiply row x by factor[x]; changes `rows`, shape (n, rank)."""
    for x in range(rows.shape[0]):
        for d in range(rows.shape[1]):
            rows[x, d] *= factor[x]


@njit(cache=True, nogil=True)
def gram(rows: Singles, selected: Codes) -> Floats:
    """Return the Gram matrix of the selected rows, shape (rank, rank).

    Args:
        rows: Shape (n, rank).
        selected: Row numbers.
    """
    rank = rows.shape[1]
    total = np.zeros((rank, rank))
    for c in range(selected.shape[0]):
        row = rows[selected[c]]
        for a in range(rank):
            factor = np.float64(row[a])
            for b in range(a + 1):
                total[a, b] += factor * row[b]
    for a in range(rank):
        for b in range(a):
            total[b, a] = total[a, b]
    return total


@njit(cache=True, nogil=True)
def cholesky(matrix: Floats) -> Floats:
    """Return the lower triangular L with L Lᵀ = matrix, shape (rank, rank); linearly dependent rows of L are zero."""
    rank, least = matrix.shape[0], 0.0
    for a in range(rank):
        least = max(least, matrix[a, a])
    least *= DEPENDENT
    lower = np.zeros((rank, rank))
    for a in range(rank):
        for b in range(a + 1):
            left = matrix[a, b]
            for c in range(b):
                left -= lower[a, c] * lower[b, c]
            if a == b:
                if left > least:
                    lower[a, a] = np.sqrt(left)
                else:
                    lower[a, : a + 1] = 0.0
            elif lower[b, b] > 0.0:
                lower[a, b] = left / lower[b, b]
    return lower


@njit(cache=True, nogil=True)
def orthonormal_rows(rows: Singles, lower: Floats) -> None:
    """Replace `rows`, shape (n, rank), by rows · L⁻ᵀ, whose columns are orthonormal if L Lᵀ is their Gram matrix.

    Linearly dependent columns become zero.
    """
    rank = rows.shape[1]
    solved = np.empty(rank)
    for x in range(rows.shape[0]):
        for a in range(rank):
            if lower[a, a] == 0.0:
                solved[a] = 0.0
                continue
            left = np.float64(rows[x, a])
            for b in range(a):
                left -= lower[a, b] * solved[b]
            solved[a] = left / lower[a, a]
        for a in range(rank):
            rows[x, a] = solved[a]


@njit(cache=True, nogil=True)
def solve_rows(lower: Floats, rows: Singles) -> None:
    """Replace every row x of `rows`, shape (n, rank), by (L Lᵀ)⁻¹ x; L has no zero on its diagonal."""
    rank = rows.shape[1]
    solved = np.empty(rank)
    for x in range(rows.shape[0]):
        for a in range(rank):
            left = np.float64(rows[x, a])
            for b in range(a):
                left -= lower[a, b] * solved[b]
            solved[a] = left / lower[a, a]
        for a in range(rank - 1, -1, -1):
            left = solved[a]
            for b in range(a + 1, rank):
                left -= lower[b, a] * solved[b]
            solved[a] = left / lower[a, a]
        for a in range(rank):
            rows[x, a] = solved[a]


@njit(cache=True, nogil=True)
def leverages(lower: Floats, rows: Singles, selected: Codes) -> Floats:
    """Return xᵀ (L Lᵀ)⁻¹ x for the selected rows x, the diagonal of the hat matrix, in [0, 1).

    Args:
        lower: Shape (rank, rank), the Cholesky factor L.
        rows: Shape (n, rank).
        selected: Row numbers.

    Returns:
        Shape (n_selected,).
    """
    rank = rows.shape[1]
    solved, out = np.empty(rank), np.empty(selected.shape[0])
    for c in range(selected.shape[0]):
        row, total = rows[selected[c]], 0.0
        for a in range(rank):
            left = np.float64(row[a])
            for b in range(a):
                left -= lower[a, b] * solved[b]
            solved[a] = left / lower[a, a]
            total += solved[a] * solved[a]
        out[c] = total
    return out
