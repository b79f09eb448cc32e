"""Shortlists: the items of the whole catalogue with the highest affinity to a user, and draws from them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from scalr.foundation import Codes, Floats, Int64, Mask, Singles, combine, unit
from scalr.synthesis.kernels.path_layout import NO_ITEM, Draws, Sampling

TILE = 1024  # items per block, whose scores fit into the first-level cache


class Shortlists(NamedTuple):
    """For every user with source events, the target items with the highest affinity that the user does not have.

    Attributes:
        of_user: Shape (n_users,), number of the user's list; -1 for none.
        item: Shape (lists, length), best first; `NO_ITEM` after the last item.
        score: Same shape, above 0; 0 after the last item.
        total: Shape (lists,), sum of scores.
        item_users: Shape (n_target,), overlap users of each item.
    """

    of_user: Codes
    item: Codes
    score: Singles
    total: Singles
    item_users: Codes


@njit(nogil=True)
def _sink(score: Singles, item: Codes, at: int, n: int) -> None:
    """Restore a heap with the worst entry on top: the lowest score, ties by the highest code."""
    while True:
        child = 2 * at + 1
        if child >= n:
            return
        other = child + 1
        if other < n and (score[other] < score[child] or (score[other] == score[child] and item[other] > item[child])):
            child = other
        if score[at] < score[child] or (score[at] == score[child] and item[at] > item[child]):
            return
        score[at], score[child] = score[child], score[at]
        item[at], item[child] = item[child], item[at]
        at = child


@njit(nogil=True)
def _collect(part: Singles, start: int, is_own: Mask, n: Any, items: Codes, scores: Singles) -> Any:
    """Put the best new items of a block into the first `n` places of a list; return the new `n`.

    A full list is a heap with the worst item on top.
    """
    length = items.shape[0]
    for i in range(part.shape[0]):
        if part[i] <= 0.0 or is_own[start + i]:
            continue
        if n < length:
            items[n], scores[n] = start + i, part[i]
            n += 1
            if n == length:
                for at in range(length // 2 - 1, -1, -1):
                    _sink(scores, items, at, length)
        elif part[i] > scores[0]:
            items[0], scores[0] = start + i, part[i]
            _sink(scores, items, 0, length)
    return n


@njit(nogil=True)
def _sort(scores: Singles, items: Codes, n: Any) -> None:
    """Sort the first `n` places of a list from best to worst and clear the others."""
    if n < items.shape[0]:
        for at in range(n // 2 - 1, -1, -1):
            _sink(scores, items, at, n)
    for end in range(n - 1, 0, -1):  # move the worst to the end
        scores[0], scores[end] = scores[end], scores[0]
        items[0], items[end] = items[end], items[0]
        _sink(scores, items, 0, end)
    items[n:] = NO_ITEM
    scores[n:] = np.float32(0.0)


@njit(cache=True, nogil=True)
def fill_shortlists(
    rows: tuple[int, int],
    users: Codes,
    user_factors: Singles,
    item_columns: Singles,
    target_start: Int64,
    target_item: Codes,
    item: Codes,
    score: Singles,
) -> None:
    """Find the items with the highest scores above 0 that a user does not have, best first, ties by item code.

    Args:
        rows: First row of `users` and the end of the range.
        users: Shape (n,), codes.
        user_factors: Shape (n_users, rank).
        item_columns: Shape (rank, n_target), the item factors transposed.
        target_start: Shape (n_users + 1,), start of each user's target items.
        target_item: Distinct target items by user.
        item: Shape (n, length), filled; `NO_ITEM` after the last item.
        score: Same shape, filled; 0 after the last item.
    """
    rank, n_target = item_columns.shape
    tile, is_own = np.empty(TILE, np.float32), np.zeros(n_target, np.bool_)
    for x in range(rows[0], rows[1]):
        u, n = users[x], 0
        items, scores = item[x], score[x]
        for y in range(target_start[u], target_start[u + 1]):
            is_own[target_item[y]] = True
        for start in range(0, n_target, TILE):
            part = tile[: min(TILE, n_target - start)]
            part[:] = np.float32(0.0)
            for d in range(rank):
                factor, column = user_factors[u, d], item_columns[d, start : start + part.shape[0]]
                for i in range(part.shape[0]):
                    part[i] += factor * column[i]
            n = _collect(part, start, is_own, n, items, scores)
        for y in range(target_start[u], target_start[u + 1]):
            is_own[target_item[y]] = False
        _sort(scores, items, n)


@njit(cache=True, nogil=True)
def accumulate(lists: Shortlists, power: float, min_support: int, cumulative: Singles) -> None:
    """Fill `cumulative` with cumulative sums of score ** power along each list.

    Args:
        lists: The shortlists.
        power: 1 / temperature.
        min_support: Items with fewer users have weight 0.
        cumulative: Shape (lists, length), filled.
    """
    item, score = lists.item, lists.score
    for x in range(item.shape[0]):
        total = 0.0
        for y in range(item.shape[1]):
            if item[x, y] != NO_ITEM and lists.item_users[item[x, y]] >= min_support:
                total += np.float64(score[x, y]) if power == 1.0 else np.float64(score[x, y]) ** power
            cumulative[x, y] = total


@njit(nogil=True)
def _search(cumulative: Singles, wanted: Any) -> Any:
    """Return the first place with cumulative[place] > wanted, or the last one."""
    place, high = 0, cumulative.shape[0] - 1
    while place < high:
        middle = (place + high) >> 1
        if cumulative[middle] > wanted:
            high = middle
        else:
            place = middle + 1
    return place


@njit(cache=True, nogil=True)
def draw_listed(
    event_user: Codes, lists: Shortlists, cumulative: Singles, sampling: Sampling, stream: Any, drawn: Draws
) -> None:
    """Draw items for each event from its user's list, or take the first ones.

    Args:
        event_user: Shape (n,), users of the events.
        lists: The shortlists.
        cumulative: Shape (lists, length), from `accumulate`; not read with `is_top`.
        sampling: Draws and whether to take the first items, those with fewer users than `min_support` skipped.
        stream: Key of seed and purpose.
        drawn: Filled with confidence score / total and with the users of the item as support.
    """
    listed, draws, length = lists.item, sampling.draws, lists.item.shape[1]
    for x in range(event_user.shape[0]):
        row, key, at = lists.of_user[event_user[x]], combine(stream, drawn.key[x]), 0
        for out in range(x * draws, x * draws + draws):
            drawn.item[out] = NO_ITEM
            if row < 0:
                continue
            if sampling.is_top:
                while (
                    at < length
                    and listed[row, at] != NO_ITEM
                    and lists.item_users[listed[row, at]] < sampling.min_support
                ):
                    at += 1
                place = at
                at += 1
            else:
                weight = np.float64(cumulative[row, length - 1])
                if weight <= 0.0:
                    continue
                place = _search(cumulative[row], unit(key, out - x * draws) * weight)
            if place < length and listed[row, place] != NO_ITEM:
                i = listed[row, place]
                drawn.item[out], drawn.support[out] = i, lists.item_users[i]
                drawn.confidence[out] = np.float32(np.float64(lists.score[row, place]) / lists.total[row])


@njit(cache=True, nogil=True)
def listed_shares(user: Codes, item: Codes, lists: Shortlists) -> Floats:
    """Return score / total of items in their users' lists, shape (n,); 0 for items outside the list.

    Args:
        user: Shape (n,), codes.
        item: Shape (n,), codes.
        lists: The shortlists.
    """
    share = np.zeros(user.shape[0])
    for x in range(user.shape[0]):
        row = lists.of_user[user[x]]
        for y in range(lists.item.shape[1] if row >= 0 else 0):
            if lists.item[row, y] == item[x]:
                share[x] = np.float64(lists.score[row, y]) / lists.total[row]
                break
            if lists.item[row, y] == NO_ITEM:
                break
    return share
