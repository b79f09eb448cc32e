"""The best items of each user, ties broken by item code."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit


@njit(cache=True, nogil=True)
def top_items(
    scores: npt.NDArray[np.float32],
    catalogue: npt.NDArray[np.int32],
    seen_start: npt.NDArray[np.int64],
    seen: npt.NDArray[np.int32],
    k: int,
) -> npt.NDArray[np.int32]:
    """Return each user's `k` best items that are in the catalogue and were not seen, best first.

    Args:
        scores: Shape (n_users, n_items); items without a number (NaN) are never chosen.
        catalogue: Shape (n_catalogue,), codes, ascending.
        seen_start: Shape (n_users + 1,), where each user's items start in `seen`.
        seen: Codes of items to leave out.
        k: Length of the lists.

    Returns:
        Shape (n_users, k); -1 where a user has fewer items. Equal scores stand in the order of their codes.
    """
    n_users = scores.shape[0]
    out = np.full((n_users, k), -1, np.int32)
    best = np.empty(k, np.float32)
    is_seen = np.zeros(scores.shape[1], np.bool_)
    for x in range(n_users):
        for y in range(seen_start[x], seen_start[x + 1]):
            is_seen[seen[y]] = True
        n = 0
        for i in catalogue:
            score = scores[x, i]
            if (n < k or score > best[k - 1]) and not is_seen[i] and not np.isnan(score):
                place = min(n, k - 1)
                while place > 0 and score > best[place - 1]:
                    best[place] = best[place - 1]
                    out[x, place] = out[x, place - 1]
                    place -= 1
                best[place] = score
                out[x, place] = i
                n = min(n + 1, k)
        for y in range(seen_start[x], seen_start[x + 1]):
            is_seen[seen[y]] = False
    return out
