"""Draw paths uniformly: an item is drawn in proportion to the number of users who have it and the source item.

The paths of an event's own user are skipped. Nothing but the paths of one source item is held, no table of counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation import Codes, Floats, Int64, Mask, fill_units
from scalr.synthesis.kernels.path_layout import (
    COUNTS,
    FILLING,
    ITEM,
    LONG,
    N_LAID,
    N_VIRTUAL,
    NO_ITEM,
    PATHS,
    U32,
    WIDTH,
    Workspace,
    forget,
    is_among,
    lay_out,
    lay_out_window,
    take_stamps,
)

U64 = np.uint64
UNITS_AT_ONCE = 4096  # random numbers made at a time: 32 KiB, which stay in the first cache


@njit(inline="always")
def _place(unit: Any, at: Any, own: Any, others: Any) -> Any:
    """Return a place among all paths but the `own` ones from `at` on."""
    place = np.int64(unit * others)
    return place + own if place >= at else place


@njit(nogil=True, error_model="numpy")
def _draw(workspace: Workspace, e: int, n: int, draws: int, units: Floats, item: Codes) -> None:
    """Draw for the events [e, e + n) of the item that is laid out; all its users are."""
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
def _count(
    workspace: Workspace, e: int, n: int, draws: int, item: Codes, confidence: npt.NDArray[np.float32], support: Codes
) -> None:
    """Count what `_draw` drew. On its own, so that the cache misses of all draws of an event overlap."""
    path, own_at, own_n, width = workspace.path, workspace.own_at, workspace.own_n, workspace.state[WIDTH]
    tally = workspace.tally
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
    """Return the target item at a place, some users being virtual."""
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


@njit(nogil=True, error_model="numpy")
def _draw_and_count(
    workspace: Workspace,
    e: int,
    n: int,
    draws: int,
    units: Floats,
    event_user: Codes,
    target_start: Int64,
    target_item: Codes,
    item: Codes,
    confidence: npt.NDArray[np.float32],
    support: Codes,
) -> None:
    """Draw and count as `_draw` and `_count` do, some users being virtual. `event_user` has shape (n,)."""
    width, tally = workspace.state[WIDTH], workspace.tally
    for x in range(n):
        at, own = workspace.own_at[e + x], np.int64(workspace.own_n[e + x])
        out = x * draws
        if own == width:
            item[out : out + draws] = NO_ITEM
            continue
        others, begin = np.float64(width - own), target_start[event_user[x]]
        for d in range(draws):
            i = _path_at(workspace, target_item, _place(units[d, x], at, own, others))
            item[out + d] = i
            if confidence.shape[0] == 0:
                continue
            count = tally[U32(i), 0] - np.int32(is_among(target_item, begin, begin + own, i))
            for v in range(workspace.state[N_VIRTUAL]):
                start = workspace.virtual_from[v]
                count += np.int32(is_among(target_item, start, start + workspace.virtual_n[v], i))
            support[out + d] = count
            confidence[out + d] = np.float32(np.float64(count) / others)


@njit(nogil=True)
def hold(
    workspace: Workspace,
    first: int,
    last: int,
    most: int,
    event_user: Codes,
    event_testifies: Mask,
    event_time: Int64,
    target_start: Int64,
    target_item: Codes,
    recent_start: Int64,
    recent_item: Codes,
    recent_time: Int64,
    window: int,
    counts: bool,
) -> None:
    """Lay out the item whose events are rows [first, last) instead of the one before, and count its paths."""
    forget(workspace)
    if window < 0:
        lay_out(workspace, first, last, most, event_user, event_testifies, target_start, target_item)
    else:
        lay_out_window(
            workspace, first, last, event_user, event_testifies, event_time,
            recent_start, recent_item, recent_time, window,
        )  # fmt: skip
    if counts:
        tally, path = workspace.tally, workspace.path
        for r in range(workspace.state[N_LAID]):
            tally[U32(path[r]), 0] += 1


@njit(cache=True, nogil=True)
def draw_uniform_paths(
    workspace: Workspace,
    rows: tuple[int, int],
    draws: int,
    stream: np.uint64,
    event_key: npt.NDArray[np.uint64],
    event_user: Codes,
    event_testifies: Mask,
    event_time: Int64,
    item_start: Int64,
    target_start: Int64,
    target_item: Codes,
    recent_start: Int64,
    recent_item: Codes,
    recent_time: Int64,
    window: int,
    item: Codes,
    confidence: npt.NDArray[np.float32],
    support: Codes,
) -> None:
    """Draw `draws` items for every source event of rows [rows[0], rows[1]), each path equally likely.

    The result of a row does not depend on which rows are drawn with it. An item that an earlier call laid out is drawn
    from as it stands, so a popular one may be drawn from in many calls. A user with a history that is long compared
    with the draws of the item costs look-ups, not its length (with a window: what is within it).

    Args:
        workspace: Made for these events and histories.
        rows: First and last + 1 row; both may stand inside an item.
        draws: Draws per event, at least 1.
        stream: Key of seed and purpose.
        event_key: Shape (rows[1] - rows[0],), stable keys of these rows' events.
        event_user: Shape (n,), all events, sorted by (item, user, time) like the next two.
        event_testifies: Shape (n,), whether the event's (user, item) lends its user's target items to others; or (0,)
            where all do.
        event_time: Shape (n,), read only with a window.
        item_start: Shape (n_source + 1,), where each source item's events start.
        target_start: Shape (n_users + 1,), where each user's target items start.
        target_item: Distinct target items by user, ascending within a user.
        recent_start: Shape (n_users + 1,), where each user's target events start; read only with a window.
        recent_item: Their items, by user and time; read only with a window.
        recent_time: Their times, ascending within a user; read only with a window.
        window: Longest time from source to target event; negative for no window.
        item: Shape (at least (rows[1] - rows[0]) * draws,), filled with the drawn item or `NO_ITEM`.
        confidence: Same shape, filled with the share of other users' paths that lead to the item; or (0,), then
            neither confidence nor support is counted, which is faster.
        support: Same shape, filled with the number of other users behind it.
    """
    state = workspace.state
    filling = COUNTS if confidence.shape[0] > 0 else PATHS
    at_once = max(1, UNITS_AT_ONCE // draws)
    keys, units = np.empty(at_once, np.uint64), np.empty((draws, at_once))
    x, last = rows
    j = np.searchsorted(item_start, x, side="right") - 1
    while x < last:
        stop, start = min(x + at_once, last), x
        fill_units(event_key[x - rows[0] : stop - rows[0]], stream, 1, 0, keys, units)
        while x < stop:
            while item_start[j + 1] <= x:
                j += 1
            first, end = item_start[j], min(stop, item_start[j + 1])
            if state[ITEM] != j or state[FILLING] != filling:
                most = LONG * draws * (item_start[j + 1] - first)
                hold(
                    workspace, first, item_start[j + 1], most, event_user, event_testifies, event_time, target_start,
                    target_item, recent_start, recent_item, recent_time, window, filling == COUNTS,
                )  # fmt: skip
                state[ITEM], state[FILLING] = j, filling
            e, n, out, to = x - first, end - x, (x - rows[0]) * draws, (end - rows[0]) * draws
            if state[N_VIRTUAL] > 0:
                _draw_and_count(
                    workspace, e, n, draws, units[:, x - start :], event_user[x:end], target_start, target_item,
                    item[out:to], confidence[out:to], support[out:to],
                )  # fmt: skip
            else:
                _draw(workspace, e, n, draws, units[:, x - start :], item[out:to])
                if filling == COUNTS:
                    _count(workspace, e, n, draws, item[out:to], confidence[out:to], support[out:to])
            x = end


@njit(cache=True, nogil=True)
def count_users_behind(
    workspace: Workspace,
    row: Int64,
    item: Codes,
    draws: int,
    event_user: Codes,
    event_testifies: Mask,
    event_time: Int64,
    item_start: Int64,
    target_start: Int64,
    target_item: Codes,
    recent_start: Int64,
    recent_item: Codes,
    recent_time: Int64,
    window: int,
) -> Codes:
    """Return, shape (n,), how many other users are behind the source item of each row and a target item, or 0.

    Other arguments are those of `draw_uniform_paths`, with which it shares what is laid out.

    Args:
        workspace: Made for these events and histories.
        row: Shape (n,), rows, ascending.
        item: Shape (n,), target items.
        draws: Draws per event; decides which users are laid out, not the result.
    """
    state, tally, path = workspace.state, workspace.tally, workspace.path
    count = np.empty(row.shape[0], np.int32)
    j = np.int64(0)
    for z in range(row.shape[0]):
        x, i = row[z], item[z]
        if z == 0 or item_start[j + 1] <= x:
            j = np.searchsorted(item_start, x, side="right") - 1
            if state[ITEM] != j or state[FILLING] != COUNTS:
                most = LONG * draws * (item_start[j + 1] - item_start[j])
                hold(
                    workspace, item_start[j], item_start[j + 1], most, event_user, event_testifies, event_time,
                    target_start, target_item, recent_start, recent_item, recent_time, window, True,
                )  # fmt: skip
                state[ITEM], state[FILLING] = j, COUNTS
        e = x - item_start[j]
        own, users = np.int64(workspace.own_n[e]), tally[U32(i), 0]
        for v in range(state[N_VIRTUAL]):
            begin = workspace.virtual_from[v]
            users += np.int32(is_among(target_item, begin, begin + workspace.virtual_n[v], i))
        if window < 0:
            begin = target_start[event_user[x]]
            users -= np.int32(is_among(target_item, begin, begin + own, i))
        else:
            begin = workspace.own_at[e]
            users -= np.int32(is_among(path, begin, begin + own, i))
        count[z] = users
    return count
