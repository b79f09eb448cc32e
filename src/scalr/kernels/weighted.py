"""Draw items in proportion to a power of their counts, or take the ones with the highest counts.

Both need every target item behind the source item, in order: ascending for draws, by rank for the highest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.kernels.hashing import fill_units, unit
from scalr.kernels.layout import (
    FILLING,
    ITEM,
    LONG,
    N_DISTINCT,
    N_LAID,
    N_TABLE,
    NO_ITEM,
    RANKS,
    U32,
    WEIGHTS,
    WIDTH,
    Float64,
    Int32,
    Int64,
    Mask,
    Workspace,
    forget,
    is_among,
    lay_out,
    lay_out_window,
    take_stamps,
)
from scalr.kernels.machine import lowest_bit

U64 = np.uint64
UNITS_AT_ONCE = 4096  # random numbers made at a time, for proposals and as many to accept them: 64 KiB
REJECTIONS = 64  # proposals before the exact scan takes over; see `_draw`
COUNTERS = 2 * REJECTIONS + 1  # random numbers that one draw may need


@njit(nogil=True)
def _count_items(workspace: Workspace) -> Any:
    """Count the paths that are laid out; fills `distinct`, ascending, and returns the largest count."""
    state, path, tally, distinct, bits = (
        workspace.state, workspace.path, workspace.tally, workspace.distinct, workspace.bits,
    )  # fmt: skip
    n, most = np.int64(0), np.int32(0)
    for r in range(state[N_LAID]):
        i = U32(path[r])
        count = tally[i, 0] + np.int32(1)
        tally[i, 0] = count
        most = max(most, count)
        if count == 1:
            distinct[n] = path[r]
            n += 1
    state[N_DISTINCT] = n
    words = tally.shape[0] // 64 + 1
    if n * 16 < bits.shape[0] - words:  # the bits are too many to be looked through for so few items
        distinct[:n].sort()
        return most
    for k in range(n):
        word = U64(distinct[k]) >> U64(6)
        bits[word] |= U64(1) << (U64(distinct[k]) & U64(63))
        bits[U64(words) + (word >> U64(6))] |= U64(1) << (word & U64(63))
    n = 0
    for s in range(words, bits.shape[0]):
        above = bits[s]
        bits[s] = U64(0)
        while above:
            word = (s - words) * 64 + lowest_bit(above)
            above &= above - U64(1)
            below = bits[word]
            bits[word] = U64(0)
            while below:
                distinct[n] = word * 64 + lowest_bit(below)
                n += 1
                below &= below - U64(1)
    return most


@njit(nogil=True)
def _sum_weights(workspace: Workspace, most: int, power: float, min_support: int) -> None:
    """Fill `table` up to count `most`, `cumulative`, and the guide table that finds a place in it.

    The guide cuts the total into as many slices as there are items and holds where the search of each slice starts,
    so that a search takes one step on average.
    """
    state, tally, distinct, guide, cumulative, table, law = (
        workspace.state, workspace.tally, workspace.distinct, workspace.spare, workspace.cumulative, workspace.table,
        workspace.law,
    )  # fmt: skip
    if law[0] != power or law[1] != min_support:
        law[0], law[1], state[N_TABLE] = power, min_support, 0
    for count in range(state[N_TABLE], most + 1):
        if count < min_support or count == 0:
            table[count] = 0.0
        else:
            table[count] = np.float64(count) if power == 1.0 else np.float64(count) ** power
    state[N_TABLE] = max(state[N_TABLE], most + 1)
    n, total = state[N_DISTINCT], 0.0
    for k in range(n):
        total += table[U32(tally[U32(distinct[k]), 0])]
        cumulative[k] = total
    k = np.int64(0)
    for g in range(n):
        edge = total * (np.float64(g) / np.float64(n))
        while k < n - 1 and cumulative[k] <= edge:
            k += 1
        guide[g] = k


@njit(nogil=True)
def _rank(workspace: Workspace, most: int) -> None:
    """Sort `distinct` by count, the highest first, ties by item code (a counting sort)."""
    state, tally, distinct, spare, level = (
        workspace.state, workspace.tally, workspace.distinct, workspace.spare, workspace.level,
    )  # fmt: skip
    n = state[N_DISTINCT]
    for c in range(most + 2):
        level[c] = 0
    for k in range(n):
        spare[k] = distinct[k]
        level[most - tally[U32(distinct[k]), 0] + 1] += 1
    for c in range(most):
        level[c + 1] += level[c]
    for k in range(n):
        c = most - tally[U32(spare[k]), 0]
        distinct[level[c]] = spare[k]
        level[c] += 1


@njit(nogil=True)
def _is_own(tally: Int32, item: int, stamp: Any, path: Int32, begin: int, end: int) -> bool:
    """Say whether `item` is the event's user's own: bears the stamp, or is among path[begin:end]."""
    return tally[U32(item), 1] == stamp or (begin < end and is_among(path, begin, end, item))


@njit(nogil=True)
def _others(tally: Int32, item: int, stamp: Any, path: Int32, begin: int, end: int) -> Any:
    """Return how many users other than the event's own have `item`; see `_is_own`."""
    return tally[U32(item), 0] - np.int32(_is_own(tally, item, stamp, path, begin, end))


@njit(nogil=True)
def _propose(cumulative: Float64, guide: Int32, n: int, left: float) -> Any:
    """Return the first k with cumulative[k] > left * total, or n - 1; `left` is in [0, 1)."""
    wanted = left * cumulative[n - 1]
    k = np.int64(guide[min(np.int64(left * np.float64(n)), n - 1)])
    while k < n - 1 and cumulative[k] <= wanted:
        k += 1
    while k > 0 and cumulative[k - 1] > wanted:  # rounding may put the guide too far
        k -= 1
    return k


@njit(nogil=True)
def _draw_again(
    workspace: Workspace, key: np.uint64, draw: int, total: float, stamp: Any, begin: int, end: int
) -> tuple[int, float]:
    """Draw one item whose first proposal was rejected.

    After `REJECTIONS` proposals one scan over all items draws from the same law exactly, so the law holds whatever
    happens. `total` is the sum of weights with the event's own paths left out, or below 0 where it is not known yet.

    Returns:
        The item, and the total or a number below 0.
    """
    tally, path, distinct, cumulative, table = (
        workspace.tally, workspace.path, workspace.distinct, workspace.cumulative, workspace.table,
    )  # fmt: skip
    n, counter = workspace.state[N_DISTINCT], U64(draw) * U64(COUNTERS)
    for attempt in range(1, REJECTIONS + 1):
        # By now proposals have taken about the time of a sum, which tells whether there is anything to find.
        if total < 0.0 and (attempt * LONG >= n or attempt == REJECTIONS):
            total = 0.0
            for k in range(n):
                total += table[_others(tally, distinct[k], stamp, path, begin, end)]
        if total == 0.0:
            return NO_ITEM, total
        if attempt < REJECTIONS:
            k = _propose(cumulative, workspace.spare, n, unit(key, counter + U64(2 * attempt)))
            weight = cumulative[k] - (cumulative[k - 1] if k > 0 else 0.0)
            wanted = table[_others(tally, distinct[k], stamp, path, begin, end)]
            if unit(key, counter + U64(2 * attempt + 1)) * weight < wanted:
                return np.int64(distinct[k]), total
    left = unit(key, counter + U64(2 * REJECTIONS)) * total
    drawn = np.int64(NO_ITEM)
    for k in range(n):
        weight = table[_others(tally, distinct[k], stamp, path, begin, end)]
        if weight > 0.0:
            drawn = np.int64(distinct[k])
            left -= weight
            if left < 0.0:
                break
    return drawn, total


@njit(nogil=True)
def _draw(
    workspace: Workspace,
    key: np.uint64,
    draws: int,
    units: Float64,
    x: int,
    stamp: Any,
    begin: int,
    end: int,
    item: Int32,
) -> None:
    """Draw items in proportion to their weights, the event's own paths left out; see `_others` for these.

    `cumulative` sums the weights with those paths left in. They are never smaller, so a proposal from them that is
    accepted with the ratio of the two weights has the wanted law. `units`, shape (2 * draws, events), holds in
    column `x` what the first proposals, then what their acceptances hang on.
    """
    tally, path, distinct, cumulative, guide, table = (
        workspace.tally, workspace.path, workspace.distinct, workspace.cumulative, workspace.spare, workspace.table,
    )  # fmt: skip
    n, total = workspace.state[N_DISTINCT], -1.0
    if cumulative[n - 1] <= 0.0:
        item[:] = NO_ITEM
        return
    for d in range(draws):
        k = _propose(cumulative, guide, n, units[d, x])
        weight = cumulative[k] - (cumulative[k - 1] if k > 0 else 0.0)
        i = distinct[k]
        count = tally[U32(i), 0] - np.int32(tally[U32(i), 1] == stamp)
        if begin < end:
            count -= np.int32(is_among(path, begin, end, i))
        if units[draws + d, x] * weight < table[count]:
            item[d] = i
        else:
            again, total = _draw_again(workspace, key, d, total, stamp, begin, end)
            item[d] = again


@njit(nogil=True)
def _take_top(workspace: Workspace, min_support: int, stamp: Any, begin: int, end: int, item: Int32) -> None:
    """Fill `item` with the items of the highest counts, ties by item code, the event's own paths left out.

    Leaving them out lowers the counts of the user's own items by one and so keeps their order among themselves:
    two walks along the ranks, one over own items and one over the others, merge into the answer. A walk passes only
    what the other one takes, so it ends after as many steps as there are draws and own items, whatever the ranks hold.
    """
    tally, path, ranked, n = workspace.tally, workspace.path, workspace.distinct, workspace.state[N_DISTINCT]
    a, b = np.int64(0), np.int64(0)
    for d in range(item.shape[0]):
        while a < n and _is_own(tally, ranked[a], stamp, path, begin, end):
            a += 1
        best = np.int64(tally[U32(ranked[a]), 0]) if a < n else np.int64(0)
        while b < n and tally[U32(ranked[b]), 0] > best and not _is_own(tally, ranked[b], stamp, path, begin, end):
            b += 1
        own = np.int64(tally[U32(ranked[b]), 0]) - 1 if b < n else np.int64(-1)
        is_own = own > best or (own == best and (a == n or ranked[b] < ranked[a]))
        if max(own, best) < max(min_support, 1):
            item[d:] = NO_ITEM
            break
        if is_own:
            item[d] = ranked[b]
            b += 1
        else:
            item[d] = ranked[a]
            a += 1


@njit(nogil=True, error_model="numpy")
def _draw_events(
    workspace: Workspace,
    e: int,
    n: int,
    draws: int,
    keys: npt.NDArray[np.uint64],
    units: Float64,
    min_support: int,
    top: bool,
    item: Int32,
    confidence: npt.NDArray[np.float32],
    support: Int32,
) -> None:
    """Draw for the events [e, e + n) of the item that is laid out; `keys` and columns of `units` are theirs."""
    own_at, own_n, width = workspace.own_at, workspace.own_n, workspace.state[WIDTH]
    tally, path = workspace.tally, workspace.path
    stamp = take_stamps(workspace.state, tally, n)
    for x in range(n):
        at, own, out = own_at[e + x], np.int64(own_n[e + x]), x * draws
        if own == width:
            item[out : out + draws] = NO_ITEM
            continue
        if top and x > 0 and own_at[e + x - 1] == at and own_n[e + x - 1] == own:  # the same user again
            for f in range(out, out + draws):
                item[f] = item[f - draws]
                if confidence.shape[0] > 0:
                    support[f], confidence[f] = support[f - draws], confidence[f - draws]
            continue
        stamp, begin, end = stamp + np.int32(1), at, at + own
        if own <= LONG * draws:
            for y in range(at, end):
                tally[U32(path[y]), 1] = stamp
            begin = end
        if top:
            _take_top(workspace, min_support, stamp, begin, end, item[out : out + draws])
        else:
            _draw(workspace, keys[x], draws, units, x, stamp, begin, end, item[out : out + draws])
        if confidence.shape[0] > 0:
            others = np.float64(width - own)
            for f in range(out, out + draws):
                if item[f] != NO_ITEM:
                    support[f] = _others(tally, item[f], stamp, path, begin, end)
                    confidence[f] = np.float32(np.float64(support[f]) / others)


@njit(cache=True, nogil=True)
def draw_weighted_items(
    workspace: Workspace,
    rows: tuple[int, int],
    draws: int,
    stream: np.uint64,
    event_key: npt.NDArray[np.uint64],
    event_user: Int32,
    event_testifies: Mask,
    event_time: Int64,
    item_start: Int64,
    target_start: Int64,
    target_item: Int32,
    recent_start: Int64,
    recent_item: Int32,
    recent_time: Int64,
    window: int,
    item: Int32,
    confidence: npt.NDArray[np.float32],
    support: Int32,
    power: float,
    min_support: int,
    top: bool,
) -> None:
    """Draw items in proportion to count ** power, or take the top ones, among those with the minimum support.

    Arguments are those of `draw_uniform_paths`, then those below. All users are laid out, whatever the length of their
    history, once for each source item they have; per event a long history costs look-ups only.

    Args:
        power: 1 / temperature.
        min_support: Least number of other users behind an item that may be drawn.
        top: Take the `draws` items with the highest counts instead of drawing.
    """
    state, no_limit = workspace.state, np.iinfo(np.int64).max
    filling = RANKS if top else WEIGHTS
    law = workspace.law
    at_once = max(1, UNITS_AT_ONCE // draws)
    keys, units = np.empty(at_once, np.uint64), np.empty((0 if top else 2 * draws, at_once))
    x, last = rows
    j = np.searchsorted(item_start, x, side="right") - 1
    while x < last:
        stop, start = min(x + at_once, last), x
        if not top:
            events = event_key[x - rows[0] : stop - rows[0]]
            fill_units(events, stream, COUNTERS, 0, keys, units[:draws])
            fill_units(events, stream, COUNTERS, 1, keys, units[draws:])
        while x < stop:
            while item_start[j + 1] <= x:
                j += 1
            first, end = item_start[j], min(stop, item_start[j + 1])
            stale = not top and (law[0] != power or law[1] != min_support)
            if state[ITEM] != j or state[FILLING] != filling or stale:
                forget(workspace)
                if window < 0:
                    lay_out(
                        workspace, first, item_start[j + 1], no_limit,
                        event_user, event_testifies, target_start, target_item,
                    )  # fmt: skip
                else:
                    lay_out_window(
                        workspace, first, item_start[j + 1], event_user, event_testifies, event_time,
                        recent_start, recent_item, recent_time, window,
                    )  # fmt: skip
                most = _count_items(workspace)
                if top:
                    _rank(workspace, most)
                else:
                    _sum_weights(workspace, most, power, min_support)
                state[ITEM], state[FILLING] = j, filling
            out, to = (x - rows[0]) * draws, (end - rows[0]) * draws
            _draw_events(
                workspace, x - first, end - x, draws, keys[x - start :], units[:, x - start :], min_support, top,
                item[out:to], confidence[out:to], support[out:to],
            )  # fmt: skip
            x = end
