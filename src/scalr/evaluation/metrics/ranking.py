"""Metrics of ranked lists. `hits` marks the ranks of a list that hold a relevant item, best rank first."""

from __future__ import annotations

import numpy as np

from scalr.foundation import Codes, Floats, Int64, Mask


def recall(hits: Mask, n_relevant: Int64) -> Floats:
    """Return the share of the relevant items of each user that is in the list, shape (n_users,), in [0, 1].

    Args:
        hits: Shape (n_users, k).
        n_relevant: Shape (n_users,), at least 1. The recall is below 1 if it exceeds k.
    """
    share: Floats = hits.sum(axis=1) / n_relevant
    return share


def ndcg(hits: Mask, n_relevant: Int64) -> Floats:
    """Return discounted gain divided by the gain of an ideal list of length k, shape (n_users,), in [0, 1].

    A relevant item at rank r, from 1, has gain 1 / log2(r + 1); other items have gain 0.

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
    """Return the share of the catalogue that occurs in at least one list, in [0, 1].

    Args:
        lists: Shape (n_users, k), item codes; -1 for an empty rank.
        n_catalogue: Number of items that can be recommended, at least 1.
    """
    return len(np.unique(lists[lists >= 0])) / n_catalogue
