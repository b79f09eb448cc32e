"""Draw paths uniformly: an item is drawn in proportion to the number of users who have it and the source item.

Paths of an event's own user are skipped. Memory holds the paths of one source item and no table of counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from scalr.foundation import Codes, Floats, Int64, fill_units
from scalr.synthesis.kernels.path_layout import (
    COUNTS,
    FILLING,
    ITEM,
    LONG,
    N_VIRTUAL,
    NO_ITEM,
    PATHS,
    U32,
    WIDTH,
    Draws,
    Paths,
    Workspace,
    is_among,
    load_item,
    part_of,
    source_item_of,
    take_stamps,
)

U64 = np.uint64
UNITS_AT_ONCE = 4096  # random numbers per block: 32 KiB, which fit into the first-level cache


@njit(inline="always")
def _place(unit: Any, at: Any, own: Any, others: Any) -> Any:
    """Return a place among all paths, except for the `own` ones from `at` on."""
    place = np.int64(unit * others)
    return place + own if place >= at else place


@njit(nogil=True, error_model="numpy")
def _draw(workspace: Workspace, e: int, n: int, draws: int, units: Floats, item: Codes) -> None:
    """Draw for the events [e, e + n) of the item that is laid out; it has no virtual users."""
    path, own_at, own_n, width = workspace.path, workspace.own_at, workspace.own_n, workspace.state[WIDTH]
    for x in range(n):
        at, own = own_at[e + x], np.int64(own_n[e + x])
        out = x * draws
        if own == width:
            item[out : out + draws] = NO_ITEM
            continue
        others = np.float64(width - own)
        for d in range(draws):
            item[out + d] = path[U64(_place(units[d, x], at, own, others))]


@njit(nogil=True, error_model="numpy")
def _count(workspace: Workspace, e: int, n: int, draws: int, drawn: Draws) -> None:
    """Count the users behind the items from `_draw`; in a loop of its own, so that cache misses overlap."""
    path, own_at, own_n, width = workspace.path, workspace.own_at, workspace.own_n, workspace.state[WIDTH]
    tally, item, confidence, support = workspace.tally, drawn.item, drawn.confidence, drawn.support
    stamp = take_stamps(workspace.state, tally, n)
    for x in range(n):
        at, own = own_at[e + x], np.int64(own_n[e + x])
        if own == width:
            continue
        others, out, stamp = np.float64(width - own), x * draws, stamp + np.int32(1)
        if own > LONG * draws:
            for d in range(draws):
                i = item[out + d]
                support[out + d] = tally[U32(i), 0] - np.int32(is_among(path, at, at + own, i))
                confidence[out + d] = np.float32(np.float64(support[out + d]) / others)
            continue
        for y in range(at, at + own):
            tally[U32(path[y]), 1] = stamp
        for d in range(draws):
            i = U32(item[out + d])
            count = tally[i, 0] - np.int32(tally[i, 1] == stamp)
            support[out + d] = count
            confidence[out + d] = np.float32(np.float64(count) / others)


@njit(nogil=True)
def _path_at(workspace: Workspace, target_item: Codes, place: int) -> Any:
    """Return the target item at a place of a layout with virtual users."""
    for v in range(workspace.state[N_VIRTUAL]):
        begin, n = workspace.virtual_at[v], workspace.virtual_n[v]
        if place < begin:
            break
        if place < begin + n:
            return target_item[workspace.virtual_from[v] + place - begin]
    skipped = np.int64(0)
    for v in range(workspace.state[N_VIRTUAL]):
        if place < workspace.virtual_at[v]:
            break
        skipped += workspace.virtual_n[v]
    return workspace.path[place - skipped]


@njit(nogil=True)
def _count_virtual(workspace: Workspace, target_item: Codes, item: int) -> Any:
    """Return the number of virtual users who have the item."""
    count = np.int32(0)
    for v in range(workspace.state[N_VIRTUAL]):
        begin = workspace.virtual_from[v]
        count += np.int32(is_among(target_item, begin, begin + workspace.virtual_n[v], item))
    return count


@njit(nogil=True, error_model="numpy")
def _draw_and_count(
    workspace: Workspace, paths: Paths, first: int, e: int, n: int, draws: int, units: Floats, drawn: Draws
) -> None:
    """Draw and count as `_draw` and `_count` do, for the events from `first` on of an item with virtual users."""
    width, tally, target_item = workspace.state[WIDTH], workspace.tally, paths.target_item
    for x in range(n):
        at, own = workspace.own_at[e + x], np.int64(workspace.own_n[e + x])
        out = x * draws
        if own == width:
            drawn.item[out : out + draws] = NO_ITEM
            continue
        others, begin = np.float64(width - own), paths.target_start[paths.user[first + x]]
        for d in range(draws):
            i = _path_at(workspace, target_item, _place(units[d, x], at, own, others))
            drawn.item[out + d] = i
            if drawn.confidence.shape[0] == 0:
                continue
            count = tally[U32(i), 0] - np.int32(is_among(target_item, begin, begin + own, i))
            count += _count_virtual(workspace, target_item, i)
            drawn.support[out + d] = count
            drawn.confidence[out + d] = np.float32(np.float64(count) / others)


@njit(cache=True, nogil=True)
def draw_uniform_paths(
    workspace: Workspace, paths: Paths, rows: tuple[int, int], draws: int, stream: np.uint64, drawn: Draws
) -> None:
    """Draw `draws` items for every source event in [rows[0], rows[1]), each path with the same probability.

    The result for an event does not depend on the range. The layout of an item stays in the workspace, so a popular
    item can be drawn from in many calls. A user whose history is long compared with the draws of the item costs
    look-ups instead of a copy of the history (with a window: of the part within it).

    Args:
        workspace: Made for these paths.
        paths: All paths.
        rows: First event and the end of the range; both may lie inside an item.
        draws: Draws per event, at least 1.
        stream: Key of seed and purpose.
        drawn: Filled: `key` holds the keys of these events, `item` has at least (rows[1] - rows[0]) * draws places. If
            `confidence` has shape (0,), neither confidence nor support is computed, which is faster.
    """
    state = workspace.state
    filling = COUNTS if drawn.confidence.shape[0] > 0 else PATHS
    at_once = max(1, UNITS_AT_ONCE // draws)
    keys, units = np.empty(at_once, np.uint64), np.empty((draws, at_once))
    x, last = rows
    j = source_item_of(paths, x)
    while x < last:
        stop, start = min(x + at_once, last), x
        fill_units(drawn.key[x - rows[0] : stop - rows[0]], stream, 1, 0, keys, units)
        while x < stop:
            while paths.item_start[j + 1] <= x:
                j += 1
            first, end = paths.item_start[j], min(stop, paths.item_start[j + 1])
            if state[ITEM] != j or state[FILLING] != filling:
                load_item(workspace, paths, j, LONG * draws * (paths.item_start[j + 1] - first), filling)
            e, n, block = x - first, end - x, units[:, x - start :]
            part = part_of(drawn, (x - rows[0]) * draws, (end - rows[0]) * draws)
            if state[N_VIRTUAL] > 0:
                _draw_and_count(workspace, paths, x, e, n, draws, block, part)
            else:
                _draw(workspace, e, n, draws, block, part.item)
                if filling == COUNTS:
                    _count(workspace, e, n, draws, part)
            x = end


@njit(cache=True, nogil=True)
def count_users_behind(workspace: Workspace, paths: Paths, event: Int64, item: Codes, draws: int) -> Codes:
    """Return, shape (n,), the number of other users with both the source item of an event and a target item.

    Args:
        workspace: Made for these paths; shared with `draw_uniform_paths`.
        paths: All paths.
        event: Shape (n,), events, ascending.
        item: Shape (n,), target items.
        draws: Draws per event; decides which users are virtual, without any effect on the result.
    """
    state, tally, path, target_item = workspace.state, workspace.tally, workspace.path, paths.target_item
    count = np.empty(event.shape[0], np.int32)
    j = np.int64(0)
    for z in range(event.shape[0]):
        x, i = event[z], item[z]
        if z == 0 or paths.item_start[j + 1] <= x:
            j = source_item_of(paths, x)
            if state[ITEM] != j or state[FILLING] != COUNTS:
                longest = LONG * draws * (paths.item_start[j + 1] - paths.item_start[j])
                load_item(workspace, paths, j, longest, COUNTS)
        e = x - paths.item_start[j]
        own, users = np.int64(workspace.own_n[e]), tally[U32(i), 0]
        users += _count_virtual(workspace, target_item, i)
        if paths.window < 0:
            begin = paths.target_start[paths.user[x]]
            users -= np.int32(is_among(target_item, begin, begin + own, i))
        else:
            begin = workspace.own_at[e]
            users -= np.int32(is_among(path, begin, begin + own, i))
        count[z] = users
    return count
