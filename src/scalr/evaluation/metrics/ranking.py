"""How good ranked lists are. `hits` says which places of a user's list hold a relevant item, best place first."""

from __future__ import annotations

import numpy as np

from scalr.foundation import Codes, Floats, Int64, Mask


def recall(hits: Mask, n_relevant: Int64) -> Floats:
    """Return the share of each user's relevant items that the list holds, shape (n_users,), in [0, 1].

    Args:
        hits: Shape (n_users, k).
        n_relevant: Shape (n_users,), at least 1. With more than k of them, 1 cannot be reached.
    """
    share: Floats = hits.sum(axis=1) / n_relevant
    return share


def ndcg(hits: Mask, n_relevant: Int64) -> Floats:
    """Return discounted gain over that of the best list of length k, shape (n_users,), in [0, 1].

    A relevant item at place r, from 1, gains 1 / log2(r + 1); others gain nothing.

    Args:
        hits: Shape (n_users, k).
        n_relevant: Shape (n_users,), at least 1.

    References:
        Järvelin and Kekäläinen 2002, Cumulated gain-based evaluation of IR techniques.
    """
    k = hits.shape[1]
    gain = 1.0 / np.log2(np.arange(2, k + 2))
    best = np.cumsum(gain)[np.minimum(n_relevant, k) - 1]
    share: Floats = (hits @ gain) / best
    return share


def item_coverage(lists: Codes, n_catalogue: int) -> float:
    """Return the share of the catalogue that some list holds, in [0, 1].

    Args:
        lists: Shape (n_users, k), item codes; -1 for empty places.
        n_catalogue: Items that could be recommended, at least 1.
    """
    return len(np.unique(lists[lists >= 0])) / n_catalogue
