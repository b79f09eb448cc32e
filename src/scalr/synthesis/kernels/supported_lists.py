"""Draws from shortlists that skip items which too few other users have together with the source item."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from scalr.foundation import Floats, Int64, combine, unit
from scalr.synthesis.kernels.path_layout import (
    COUNTS,
    FILLING,
    ITEM,
    NO_ITEM,
    U32,
    Draws,
    Paths,
    Sampling,
    Workspace,
    is_among,
    load_item,
    source_item_of,
)
from scalr.synthesis.kernels.path_probability import EVERYONE_LAID
from scalr.synthesis.kernels.shortlists import Shortlists


@njit(nogil=True)
def _find_supported(
    workspace: Workspace, e: int, lists: Shortlists, row: int, sampling: Sampling, place: Int64, sums: Floats
) -> Any:
    """Find the places of list `row` with enough other users, for event `e` of the item that is laid out.

    Fills `place`, and `sums` with cumulative weights; returns the number of places.
    """
    tally, path = workspace.tally, workspace.path
    at, own = workspace.own_at[e], np.int64(workspace.own_n[e])
    n, total = 0, 0.0
    for y in range(lists.item.shape[1] if row >= 0 else 0):
        i = lists.item[row, y]
        if i == NO_ITEM or (sampling.is_top and n == sampling.draws):
            break
        behind = tally[U32(i), 0] - np.int32(is_among(path, at, at + own, i))
        if behind >= sampling.min_support:
            score = np.float64(lists.score[row, y])
            total += score if sampling.power == 1.0 else score**sampling.power
            place[n], sums[n] = y, total
            n += 1
    return n


@njit(cache=True, nogil=True)
def draw_supported(
    workspace: Workspace,
    paths: Paths,
    rows: tuple[int, int],
    lists: Shortlists,
    sampling: Sampling,
    stream: np.uint64,
    drawn: Draws,
) -> None:
    """Draw from the list of each event's user, or take its first items, among those with enough other users.

    Args:
        workspace: Made for these paths, and used by no other kernel.
        paths: All paths.
        rows: First event and the end of the range.
        lists: The shortlists.
        sampling: `min_support`, at least 1, is the number of other users with the source item and the drawn item.
        stream: Key of seed and purpose.
        drawn: Filled. Support is the number of users of the item, which reveals less than that of the pair.
    """
    state, draws = workspace.state, sampling.draws
    place, sums = np.empty(lists.item.shape[1], np.int64), np.empty(lists.item.shape[1])
    j = source_item_of(paths, rows[0])
    for x in range(rows[0], rows[1]):
        while paths.item_start[j + 1] <= x:
            j += 1
        if state[ITEM] != j or state[FILLING] != COUNTS:
            load_item(workspace, paths, j, EVERYONE_LAID, COUNTS)
        row, first = lists.of_user[paths.user[x]], (x - rows[0]) * draws
        key = combine(stream, drawn.key[x - rows[0]])
        n = _find_supported(workspace, x - paths.item_start[j], lists, row, sampling, place, sums)
        for d in range(draws):
            number = d
            if not sampling.is_top:
                wanted, number = unit(key, d) * (sums[n - 1] if n > 0 else 0.0), 0
                while number < n - 1 and sums[number] <= wanted:
                    number += 1
            if number >= n:
                drawn.item[first + d] = NO_ITEM
                continue
            y = place[number]
            i = lists.item[row, y]
            drawn.item[first + d], drawn.support[first + d] = i, lists.item_users[i]
            drawn.confidence[first + d] = np.float32(np.float64(lists.score[row, y]) / lists.total[row])
