"""Nearest items by shrunk cosine similarity, and the similarity of items to users' histories."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from scalr.foundation import Codes, Floats, Int64


class Groups(NamedTuple):
    """Codes in groups: users by item, or items by user.

    Attributes:
        start: Shape (n_groups + 1,), the position in `member` at which each group begins.
        member: Codes, distinct within a group.
    """

    start: Int64
    member: Codes


class Neighbours(NamedTuple):
    """Similar items by item.

    Attributes:
        start: Shape (n_items + 1,), the position in `item` at which the neighbours of each item begin.
        item: Codes of the neighbours, ascending within an item.
        similarity: Shape as `item`, shrunk cosines.
    """

    start: Int64
    item: Codes
    similarity: Floats


@njit(inline="always")
def shrunk_cosine(both: Any, first: Any, second: Any, shrinkage: Any) -> Any:
    """Return the cosine of two sets of users times both / (both + shrinkage); 0 without a common user."""
    if both <= 0:
        return 0.0
    return both / np.sqrt(np.float64(first) * np.float64(second)) * (both / (both + shrinkage))


@njit(cache=True, nogil=True)
def _nearest(candidates: Codes, similarity: Floats, most: int) -> Codes:
    """Return the `most` candidates of highest similarity; ties go to lower codes."""
    if candidates.shape[0] <= most:
        return candidates
    limit = np.partition(similarity, similarity.shape[0] - most)[similarity.shape[0] - most]
    inside, level = candidates[similarity > limit], np.sort(candidates[similarity == limit])
    return np.concatenate((inside, level[: most - inside.shape[0]]))


@njit(inline="always")
def _count_common_users(item: Any, users: Any, histories: Any, same: Any, counts: Any, touched: Any) -> Any:
    """Count in `counts` the users that an item shares with each other item; list those items in `touched`.

    Returns:
        The number of items listed.
    """
    n_touched = 0
    for x in range(users.start[item], users.start[item + 1]):
        u = users.member[x]
        for y in range(histories.start[u], histories.start[u + 1]):
            j = histories.member[y]
            if same and j == item:
                continue
            if counts[j] == 0:
                touched[n_touched] = j
                n_touched += 1
            counts[j] += 1
    return n_touched


@njit(cache=True, nogil=True)
def nearest_neighbours(
    users: Groups, histories: Groups, other_users: Int64, shrinkage: float, most: int, same: bool
) -> Neighbours:
    """Return the nearest items of each item, in another domain or in its own.

    Args:
        users: Users of each item.
        histories: Items of the other domain by user.
        other_users: Shape (n_other_items,), number of users of each item of the other domain.
        shrinkage: Number of common users at which a similarity is halved, at least 0.
        most: Neighbours per item; ties go to lower codes.
        same: Whether both domains are the same, so that an item is not its own neighbour.
    """
    n_items, n_other = users.start.shape[0] - 1, other_users.shape[0]
    start = np.zeros(n_items + 1, np.int64)
    room = max(16, users.member.shape[0])
    neighbour, similarity = np.empty(room, np.int32), np.empty(room, np.float64)
    counts, touched, near = np.zeros(n_other, np.int32), np.empty(n_other, np.int32), np.empty(n_other, np.float64)
    filled = 0
    for i in range(n_items):
        n_users = users.start[i + 1] - users.start[i]
        candidates = touched[: _count_common_users(i, users, histories, same, counts, touched)]
        n_candidates = candidates.shape[0]
        for x in range(n_candidates):
            near[x] = shrunk_cosine(counts[candidates[x]], n_users, other_users[candidates[x]], shrinkage)
        nearest = np.sort(_nearest(candidates, near[:n_candidates], most))
        if filled + nearest.shape[0] > room:
            room = 2 * (filled + nearest.shape[0])
            wider, deeper = np.empty(room, np.int32), np.empty(room, np.float64)
            wider[:filled], deeper[:filled] = neighbour[:filled], similarity[:filled]
            neighbour, similarity = wider, deeper
        for j in nearest:
            neighbour[filled] = j
            similarity[filled] = shrunk_cosine(counts[j], n_users, other_users[j], shrinkage)
            filled += 1
        for x in range(n_candidates):
            counts[candidates[x]] = 0
        start[i + 1] = filled
    return Neighbours(start, neighbour[:filled].copy(), similarity[:filled].copy())


@njit(cache=True, nogil=True)
def pair_similarities(user: Codes, item: Codes, histories: Groups, neighbours: Neighbours, n_other: int) -> Floats:
    """Return the summed similarity of each item to its user's history, shape (n,).

    Args:
        user: Shape (n,), codes; fastest where rows of a user are adjacent.
        item: Shape (n,), codes.
        histories: Items of the other domain by user.
        neighbours: Result of `nearest_neighbours`.
        n_other: Number of items of the other domain.
    """
    out, seen = np.zeros(user.shape[0], np.float64), np.full(n_other, -1, np.int32)
    for x in range(user.shape[0]):
        u, i = user[x], item[x]
        if x == 0 or user[x - 1] != u:
            for y in range(histories.start[u], histories.start[u + 1]):
                seen[histories.member[y]] = u
        for y in range(neighbours.start[i], neighbours.start[i + 1]):
            if seen[neighbours.item[y]] == u:
                out[x] += neighbours.similarity[y]
    return out


@njit(cache=True, nogil=True)
def block_similarities(users: Codes, histories: Groups, transposed: Neighbours, n_items: int) -> Floats:
    """Return the summed similarity of all items to the histories of some users, shape (n_users, n_items).

    Equal to `pair_similarities` bit for bit, since both add in the order of the neighbours' codes.

    Args:
        users: Shape (n_users,), codes.
        histories: Items of the other domain by user, ascending within a user.
        transposed: For each item of the other domain, the items that it is a neighbour of.
        n_items: Number of items.
    """
    out = np.zeros((users.shape[0], n_items), np.float64)
    for x in range(users.shape[0]):
        row = out[x]
        for y in range(histories.start[users[x]], histories.start[users[x] + 1]):
            j = histories.member[y]
            for z in range(transposed.start[j], transposed.start[j + 1]):
                row[transposed.item[z]] += transposed.similarity[z]
    return out
