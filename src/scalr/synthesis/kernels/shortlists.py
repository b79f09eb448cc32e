"""The items of the whole catalogue that are nearest to a user, and draws from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation import Codes, Int64, Singles, combine, unit
from scalr.synthesis.kernels.path_layout import NO_ITEM

TILE = 1024  # items scored at a time, so that their scores stay in the first cache


@njit(nogil=True)
def _sink(score: Singles, item: Codes, at: int, n: int) -> None:
    """Restore a heap whose worst entry stands first: the lowest score, of equal ones the highest code."""
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


@njit(cache=True, nogil=True)
def nearest_items(
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
        rows: First and last + 1 row of `users` to work on.
        users: Shape (n,), codes.
        user_factors: Shape (n_users, rank).
        item_columns: Shape (rank, n_target), the item factors transposed.
        target_start: Shape (n_users + 1,), where each user's target items start.
        target_item: Distinct target items by user.
        item: Shape (n, length), filled; `NO_ITEM` behind the end.
        score: Same shape, filled; 0 behind the end.
    """
    rank, n_target = item_columns.shape
    length = item.shape[1]
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
        for y in range(target_start[u], target_start[u + 1]):
            is_own[target_item[y]] = False
        if n < length:
            for at in range(n // 2 - 1, -1, -1):
                _sink(scores, items, at, n)
        for end in range(n - 1, 0, -1):  # the worst goes to the end
            scores[0], scores[end] = scores[end], scores[0]
            items[0], items[end] = items[end], items[0]
            _sink(scores, items, 0, end)
        items[n:] = NO_ITEM
        scores[n:] = np.float32(0.0)


@njit(cache=True, nogil=True)
def accumulate(
    item: Codes, score: Singles, item_users: Codes, power: float, min_support: int, cumulative: Singles
) -> None:
    """Fill `cumulative`, shape (n, length), with running sums of score ** power along each list.

    Args:
        item: Shape (n, length), codes or `NO_ITEM`.
        score: Same shape.
        item_users: Shape (n_target,), users of each item.
        power: 1 / temperature.
        min_support: Items with fewer users weigh nothing.
        cumulative: Same shape as `item`, filled.
    """
    for x in range(item.shape[0]):
        total = 0.0
        for y in range(item.shape[1]):
            if item[x, y] != NO_ITEM and item_users[item[x, y]] >= min_support:
                total += np.float64(score[x, y]) if power == 1.0 else np.float64(score[x, y]) ** power
            cumulative[x, y] = total


@njit(cache=True, nogil=True)
def draw_listed(
    event_user: Codes,
    event_key: npt.NDArray[np.uint64],
    stream: Any,
    draws: int,
    top: bool,
    min_support: int,
    list_of_user: Codes,
    listed: Codes,
    score: Singles,
    total: Singles,
    cumulative: Singles,
    item_users: Codes,
    item: Codes,
    confidence: Singles,
    support: Codes,
) -> None:
    """Draw `draws` items per event from its user's list, or take the first ones.

    Args:
        event_user: Shape (n,), users of the events.
        event_key: Shape (n,), stable keys of the events.
        stream: Key of seed and purpose.
        draws: Items per event.
        top: Take the first items instead of drawing.
        min_support: Items with fewer users are passed over.
        list_of_user: Shape (n_users,), which list is the user's; -1 for none.
        listed: Shape (lists, length), items, best first; `NO_ITEM` behind the end.
        score: Same shape.
        total: Shape (lists,), summed scores.
        cumulative: Same shape as `listed`, running sums of weights; not read with `top`.
        item_users: Shape (n_target,), users of each item.
        item: Shape (n * draws,), filled with the items or `NO_ITEM`.
        confidence: Same shape, filled with score / total.
        support: Same shape, filled with the users of the item.
    """
    length = listed.shape[1]
    for x in range(event_user.shape[0]):
        row, key, at = list_of_user[event_user[x]], combine(stream, event_key[x]), 0
        for out in range(x * draws, x * draws + draws):
            item[out] = NO_ITEM
            if row < 0:
                continue
            if top:
                while at < length and listed[row, at] != NO_ITEM and item_users[listed[row, at]] < min_support:
                    at += 1
                place = at
                at += 1
            else:
                weight = np.float64(cumulative[row, length - 1])
                if weight <= 0.0:
                    continue
                wanted = unit(key, out - x * draws) * weight
                place, high = 0, length - 1
                while place < high:
                    middle = (place + high) >> 1
                    if cumulative[row, middle] > wanted:
                        high = middle
                    else:
                        place = middle + 1
            if place < length and listed[row, place] != NO_ITEM:
                i = listed[row, place]
                item[out], support[out] = i, item_users[i]
                confidence[out] = np.float32(np.float64(score[row, place]) / total[row])


@njit(cache=True, nogil=True)
def listed_shares(
    user: Codes, item: Codes, list_of_user: Codes, listed: Codes, score: Singles, total: Singles
) -> npt.NDArray[np.float64]:
    """Return score / total of each user's list, shape (n,); 0 for items that do not stand there.

    Args:
        user: Shape (n,), codes.
        item: Shape (n,), codes.
        list_of_user: Shape (n_users,), which list is the user's; -1 for none.
        listed: Shape (lists, length), items; `NO_ITEM` behind the end.
        score: Same shape, above 0; 0 behind the end.
        total: Shape (lists,), summed scores.
    """
    share = np.zeros(user.shape[0])
    for x in range(user.shape[0]):
        row = list_of_user[user[x]]
        for y in range(listed.shape[1] if row >= 0 else 0):
            if listed[row, y] == item[x]:
                share[x] = np.float64(score[row, y]) / total[row]
                break
            if listed[row, y] == NO_ITEM:
                break
    return share
