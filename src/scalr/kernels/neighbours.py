"""Nearest items by shrunk cosine similarity, and what a user's history says through them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Codes = npt.NDArray[np.int32]
Starts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@njit(inline="always")
def shrunk_cosine(both: Any, one: Any, other: Any, shrinkage: Any) -> Any:
    """Return the cosine of two sets of users times both / (both + shrinkage); 0 without a common user."""
    if both <= 0:
        return 0.0
    return both / np.sqrt(np.float64(one) * np.float64(other)) * (both / (both + shrinkage))


@njit(cache=True, nogil=True)
def all_similarities(common: Codes, one: Starts, other: Starts, shrinkage: float) -> Floats:
    """Return the shrunk cosine of each pair of items, shape (n,).

    Args:
        common: Shape (n,), users that have both.
        one: Shape (n,), users of the one.
        other: Shape (n,), users of the other.
        shrinkage: Common users at which a similarity counts half, at least 0.
    """
    out = np.empty(common.shape[0], np.float64)
    for x in range(common.shape[0]):
        out[x] = shrunk_cosine(common[x], one[x], other[x], shrinkage)
    return out


@njit(cache=True, nogil=True)
def nearest_items(
    item_start: Starts,
    item_user: Codes,
    user_start: Starts,
    user_item: Codes,
    other_users: Starts,
    shrinkage: float,
    most: int,
    same: bool,
) -> tuple[Starts, Codes, Codes]:
    """Return for every item its nearest items of another domain, or of its own.

    Args:
        item_start: Shape (n_items + 1,), where the users of each item begin in:
        item_user: Users of the items, codes, distinct within an item.
        user_start: Shape (n_users + 1,), where the history of each user begins in:
        user_item: Items of the other domain by user, codes, distinct within a user.
        other_users: Shape (n_other_items,), users of each item of the other domain.
        shrinkage: Common users at which a similarity counts half, at least 0.
        most: Neighbours per item; among equally near ones those with lower codes.
        same: Whether both domains are one, so that an item is no neighbour of itself.

    Returns:
        Where the neighbours of each item begin, shape (n_items + 1,); the neighbours, ascending within an item; their
        common users.
    """
    n_items, n_other = item_start.shape[0] - 1, other_users.shape[0]
    start = np.zeros(n_items + 1, np.int64)
    room = max(16, item_user.shape[0])
    neighbour, common = np.empty(room, np.int32), np.empty(room, np.int32)
    counts, touched = np.zeros(n_other, np.int32), np.empty(n_other, np.int32)
    filled = 0
    for i in range(n_items):
        n_touched, n_users = 0, item_start[i + 1] - item_start[i]
        for x in range(item_start[i], item_start[i + 1]):
            u = item_user[x]
            for y in range(user_start[u], user_start[u + 1]):
                j = user_item[y]
                if same and j == i:
                    continue
                if counts[j] == 0:
                    touched[n_touched] = j
                    n_touched += 1
                counts[j] += 1
        found = np.sort(touched[:n_touched])
        if n_touched > most:
            nearness = np.empty(n_touched, np.float64)
            for x in range(n_touched):
                j = found[x]
                nearness[x] = -shrunk_cosine(counts[j], n_users, other_users[j], shrinkage)
            kept = np.sort(np.argsort(nearness, kind="mergesort")[:most])
        else:
            kept = np.arange(n_touched)
        if filled + kept.shape[0] > room:
            room = 2 * (filled + kept.shape[0])
            wider, deeper = np.empty(room, np.int32), np.empty(room, np.int32)
            wider[:filled], deeper[:filled] = neighbour[:filled], common[:filled]
            neighbour, common = wider, deeper
        for x in kept:
            neighbour[filled], common[filled] = found[x], counts[found[x]]
            filled += 1
        for x in range(n_touched):
            counts[found[x]] = 0
        start[i + 1] = filled
    return start, neighbour[:filled].copy(), common[:filled].copy()


@njit(cache=True, nogil=True)
def pair_nearness(
    user: Codes,
    item: Codes,
    is_own: npt.NDArray[np.bool_],
    user_start: Starts,
    user_item: Codes,
    start: Starts,
    neighbour: Codes,
    common: Codes,
    item_users: Starts,
    other_users: Starts,
    shrinkage: float,
) -> Floats:
    """Return the summed similarity of items to users' histories, shape (n,).

    Args:
        user: Shape (n,), codes; fastest where equal ones stand together.
        item: Shape (n,), codes.
        is_own: Shape (n,), whether the user has the item: its similarities are then counted without that user.
        user_start: See `nearest_items`, as is `user_item`.
        user_item: Items by user.
        start: What `nearest_items` returned, as are `neighbour` and `common`.
        neighbour: Neighbours by item.
        common: Their common users.
        item_users: Shape (n_items,), users of each item.
        other_users: Shape (n_other_items,), users of each item of the other domain.
        shrinkage: Common users at which a similarity counts half.
    """
    out, seen = np.zeros(user.shape[0], np.float64), np.full(other_users.shape[0], -1, np.int32)
    for x in range(user.shape[0]):
        u, i = user[x], item[x]
        if x == 0 or user[x - 1] != u:
            for y in range(user_start[u], user_start[u + 1]):
                seen[user_item[y]] = u
        less = 1 if is_own[x] else 0
        total = 0.0
        for y in range(start[i], start[i + 1]):
            j = neighbour[y]
            if seen[j] == u:
                total += shrunk_cosine(common[y] - less, item_users[i] - less, other_users[j], shrinkage)
        out[x] = total
    return out


@njit(cache=True, nogil=True)
def block_nearness(
    users: Codes,
    user_start: Starts,
    user_item: Codes,
    by_neighbour: Starts,
    near_item: Codes,
    similarity: Floats,
    n_items: int,
) -> Floats:
    """Return the summed similarity of all items to some users' histories, shape (n_users, n_items).

    Equal to `pair_nearness` bit for bit, since both add up in the order of the neighbours' codes.

    Args:
        users: Shape (n_users,), codes.
        user_start: See `nearest_items`.
        user_item: Items by user, ascending within a user.
        by_neighbour: Shape (n_other_items + 1,), where the items that a neighbour is near to begin in:
        near_item: These items.
        similarity: Their similarities to the neighbour.
        n_items: Items.
    """
    out = np.zeros((users.shape[0], n_items), np.float64)
    for x in range(users.shape[0]):
        row = out[x]
        for y in range(user_start[users[x]], user_start[users[x] + 1]):
            j = user_item[y]
            for z in range(by_neighbour[j], by_neighbour[j + 1]):
                row[near_item[z]] += similarity[z]
    return out
