"""Nearest items by shrunk cosine similarity, and what a user's history says through them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from scalr.foundation import Codes, Floats, Int64


@njit(inline="always")
def shrunk_cosine(both: Any, one: Any, other: Any, shrinkage: Any) -> Any:
    """Return the cosine of two sets of users times both / (both + shrinkage); 0 without a common user."""
    if both <= 0:
        return 0.0
    return both / np.sqrt(np.float64(one) * np.float64(other)) * (both / (both + shrinkage))


@njit(cache=True, nogil=True)
def _nearest(found: Codes, near: Floats, most: int) -> Codes:
    """Return the `most` nearest of some items; among equally near ones those with lower codes."""
    if found.shape[0] <= most:
        return found
    limit = np.partition(near, near.shape[0] - most)[near.shape[0] - most]
    inside, level = found[near > limit], np.sort(found[near == limit])
    return np.concatenate((inside, level[: most - inside.shape[0]]))


@njit(cache=True, nogil=True)
def nearest_items(
    item_start: Int64,
    item_user: Codes,
    user_start: Int64,
    user_item: Codes,
    other_users: Int64,
    shrinkage: float,
    most: int,
    same: bool,
) -> tuple[Int64, Codes, Floats]:
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
        shrunk cosines with the item.
    """
    n_items, n_other = item_start.shape[0] - 1, other_users.shape[0]
    start = np.zeros(n_items + 1, np.int64)
    room = max(16, item_user.shape[0])
    neighbour, similarity = np.empty(room, np.int32), np.empty(room, np.float64)
    counts, touched, near = np.zeros(n_other, np.int32), np.empty(n_other, np.int32), np.empty(n_other, np.float64)
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
        found = touched[:n_touched]
        for x in range(n_touched):
            near[x] = shrunk_cosine(counts[found[x]], n_users, other_users[found[x]], shrinkage)
        kept = np.sort(_nearest(found, near[:n_touched], most))
        if filled + kept.shape[0] > room:
            room = 2 * (filled + kept.shape[0])
            wider, deeper = np.empty(room, np.int32), np.empty(room, np.float64)
            wider[:filled], deeper[:filled] = neighbour[:filled], similarity[:filled]
            neighbour, similarity = wider, deeper
        for j in kept:
            neighbour[filled] = j
            similarity[filled] = shrunk_cosine(counts[j], n_users, other_users[j], shrinkage)
            filled += 1
        for x in range(n_touched):
            counts[found[x]] = 0
        start[i + 1] = filled
    return start, neighbour[:filled].copy(), similarity[:filled].copy()


@njit(cache=True, nogil=True)
def pair_nearness(
    user: Codes,
    item: Codes,
    user_start: Int64,
    user_item: Codes,
    start: Int64,
    neighbour: Codes,
    similarity: Floats,
    n_other: int,
) -> Floats:
    """Return the summed similarity of items to users' histories, shape (n,).

    Args:
        user: Shape (n,), codes; fastest where equal ones stand together.
        item: Shape (n,), codes.
        user_start: See `nearest_items`.
        user_item: Items by user.
        start: What `nearest_items` returned, as are `neighbour` and `similarity`.
        neighbour: Neighbours by item.
        similarity: Their similarities.
        n_other: Items of the other domain.
    """
    out, seen = np.zeros(user.shape[0], np.float64), np.full(n_other, -1, np.int32)
    for x in range(user.shape[0]):
        u, i = user[x], item[x]
        if x == 0 or user[x - 1] != u:
            for y in range(user_start[u], user_start[u + 1]):
                seen[user_item[y]] = u
        for y in range(start[i], start[i + 1]):
            if seen[neighbour[y]] == u:
                out[x] += similarity[y]
    return out


@njit(cache=True, nogil=True)
def block_nearness(
    users: Codes,
    user_start: Int64,
    user_item: Codes,
    by_neighbour: Int64,
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
