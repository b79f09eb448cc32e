"""Low-rank factors of a user-item matrix that stands item by item, and ridge regression on them.

All sums have one order, whatever the number of threads: a thread takes some columns of the factors, or some items.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation.arrays import Codes, Floats, Int64, Singles
from scalr.foundation.kernels.hashing import combine, unit

U64 = np.uint64
DEPENDENT = 1e-12  # share of the largest diagonal entry below which a column depends on those before it


@njit(cache=True, nogil=True)
def first_columns(keys: npt.NDArray[np.uint64], rank: int, stream: Any) -> Singles:
    """Return uniform numbers with mean 0, shape (n, rank), one row per key."""
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
    """Add weight[j] · of_item[j] to the row of every user of every item j, in some columns.

    Args:
        item_start: Shape (n_items + 1,), where each item's users start.
        user: Shape (n,), users by item.
        item_weight: Shape (n_items,).
        of_item: Shape (n_items, rank).
        columns: First and last + 1 column.
        of_user: Shape (n_users, rank), changed.
    """
    first, last = columns
    row = np.empty(last - first, np.float32)
    for j in range(item_start.shape[0] - 1):
        for d in range(row.shape[0]):
            row[d] = item_weight[j] * of_item[j, first + d]
        for x in range(item_start[j], item_start[j + 1]):
            own = of_user[user[x], first:last]
            for d in range(row.shape[0]):
                own[d] += row[d]


@njit(cache=True, nogil=True)
def sum_over_users(
    item_start: Int64, user: Codes, item_weight: Singles, of_user: Singles, items: tuple[int, int], of_item: Singles
) -> None:
    """Set of_item[j] = weight[j] · (sum of the rows of the users of item j), for some items.

    Args:
        item_start: Shape (n_items + 1,), where each item's users start.
        user: Shape (n,), users by item.
        item_weight: Shape (n_items,).
        of_user: Shape (n_users, rank).
        items: First and last + 1 item.
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
def gram(rows: Singles, chosen: Codes) -> Floats:
    """Return the sum of the outer products of the chosen rows, shape (rank, rank), symmetric."""
    rank = rows.shape[1]
    total = np.zeros((rank, rank))
    for c in range(chosen.shape[0]):
        row = rows[chosen[c]]
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
    """Return the lower L with L Lᵀ = matrix, shape (rank, rank); rows of columns that depend on others are zero."""
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
    """Solve for the rows x of `rows` L⁻ᵀ, in place: their columns are then orthonormal if L Lᵀ is their Gram matrix.

    Columns that depend on others become zero.
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
    """Replace every row x by (L Lᵀ)⁻¹ x, in place; L has no zero on its diagonal."""
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
def leverages(lower: Floats, rows: Singles, chosen: Codes) -> Floats:
    """Return xᵀ (L Lᵀ)⁻¹ x for the chosen rows x, shape (chosen,): the diagonal of the hat matrix, in [0, 1)."""
    rank = rows.shape[1]
    solved, out = np.empty(rank), np.empty(chosen.shape[0])
    for c in range(chosen.shape[0]):
        row, total = rows[chosen[c]], 0.0
        for a in range(rank):
            left = np.float64(row[a])
            for b in range(a):
                left -= lower[a, b] * solved[b]
            solved[a] = left / lower[a, a]
            total += solved[a] * solved[a]
        out[c] = total
    return out
