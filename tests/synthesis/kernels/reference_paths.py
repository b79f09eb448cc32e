"""The first kernels, kept as the slow and obvious way: what the kernels must agree with bit for bit.

Draw target items along paths (source item -> overlap user -> target item) without storing a table of counts.

Source events stand sorted by (item, user). For one source item, the target items of its users are laid out in one
reused buffer: drawing a place of the buffer uniformly draws an item in proportion to the number of users who have
both items. A user's own places form one range, so leaving the user out is an arithmetic skip.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation.kernels.hashing import U64, mix, unit

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

NO_ITEM = -1  # what a draw holds where no other user has a path
REJECTIONS = 64  # proposals before the exact scan takes over; see `draw_weighted`


@njit(cache=True, nogil=True)
def stable_order(group: Int32, n_groups: int) -> tuple[Int64, Int64]:
    """Sort rows by group, keeping the order within a group (a counting sort).

    Returns:
        Rows in the new order, shape (n,), and where each group starts, shape (n_groups + 1,).
    """
    start = np.zeros(n_groups + 1, np.int64)
    for x in range(group.shape[0]):
        start[group[x] + 1] += 1
    for g in range(n_groups):
        start[g + 1] += start[g]
    place = start[:-1].copy()
    order = np.empty(group.shape[0], np.int64)
    for x in range(group.shape[0]):
        order[place[group[x]]] = x
        place[group[x]] += 1
    return order, start


@njit(cache=True, nogil=True)
def count_paths(
    event_user: Int32, event_testifies: npt.NDArray[np.bool_], item_start: Int64, target_start: Int64
) -> Int64:
    """Return for each source item, shape (n_items,), how many paths it has at most (before any window)."""
    paths = np.zeros(item_start.shape[0] - 1, np.int64)
    for j in range(item_start.shape[0] - 1):
        previous = -1
        for x in range(item_start[j], item_start[j + 1]):
            u = event_user[x]
            if u != previous and event_testifies[x]:
                paths[j] += target_start[u + 1] - target_start[u]
            previous = u
    return paths


@njit(inline="always")
def _within_window(source_time: Any, first: Any, last: Any, target_time: Any, begin: Any, end: Any, window: Any) -> Any:
    """Say whether some target event follows some source event by at most `window`; both ranges ascend in time."""
    s = first
    for t in range(begin, end):
        while s + 1 < last and source_time[s + 1] <= target_time[t]:
            s += 1
        if source_time[s] <= target_time[t] and target_time[t] - source_time[s] <= window:
            return True
    return False


@njit(nogil=True)
def _lay_out(
    first: int,
    last: int,
    event_user: Int32,
    event_testifies: npt.NDArray[np.bool_],
    event_time: Int64,
    target_start: Int64,
    target_item: Int32,
    target_time_start: Int64,
    target_time: Int64,
    window: int,
    path: Int32,
    own_at: Int64,
    own_n: Int64,
) -> int:
    """Lay out the paths of one source item, whose events are rows [first, last).

    Fills `path`, and for each event where its user's own paths begin (`own_at`) and how many they are (`own_n`).
    Returns the number of paths. A negative window means none.
    """
    width = 0
    x = first
    while x < last:
        u = event_user[x]
        end = x + 1
        while end < last and event_user[end] == u:
            end += 1
        begin = width
        if event_testifies[x]:
            for y in range(target_start[u], target_start[u + 1]):
                if window < 0 or _within_window(
                    event_time, x, end, target_time, target_time_start[y], target_time_start[y + 1], window
                ):
                    path[width] = target_item[y]
                    width += 1
        for e in range(x, end):
            own_at[e - first] = begin
            own_n[e - first] = width - begin
        x = end
    return width


@njit(cache=True, nogil=True)
def draw_uniform_paths(
    items: tuple[int, int],
    draws: int,
    stream: np.uint64,
    event_key: npt.NDArray[np.uint64],
    event_user: Int32,
    event_testifies: npt.NDArray[np.bool_],
    event_time: Int64,
    item_start: Int64,
    target_start: Int64,
    target_item: Int32,
    target_time_start: Int64,
    target_time: Int64,
    window: int,
    max_paths: int,
    n_target: int,
    item: Int32,
    confidence: npt.NDArray[np.float32],
    support: Int32,
) -> None:
    """Draw `draws` items for every event of source items [items[0], items[1]), each path equally likely.

    Args:
        items: First and last + 1 source item.
        draws: Draws per event.
        stream: Key of seed and purpose.
        event_key: Shape (n,), stable keys of the source events, sorted by (item, user) like the next three.
        event_user: Shape (n,).
        event_testifies: Shape (n,), whether the event's (user, item) lends its user's target items to others.
        event_time: Shape (n,), read only with a window.
        item_start: Shape (n_source + 1,), where each source item's events start.
        target_start: Shape (n_users + 1,), where each user's target items start.
        target_item: Distinct target items by user, ascending within a user.
        target_time_start: Where the event times of each `target_item` start; read only with a window.
        target_time: Event times, ascending within each; read only with a window.
        window: Longest time from source to target event; negative for no window.
        max_paths: Most paths of any item in the range.
        n_target: Number of target items.
        item: Shape (events of the range * draws,), filled with the drawn item or `NO_ITEM`.
        confidence: Same shape, filled with the share of other users' paths that lead to the item.
        support: Same shape, filled with the number of other users behind it.
    """
    base = item_start[items[0]]
    most = np.int64(0)
    for j in range(items[0], items[1]):
        most = max(most, item_start[j + 1] - item_start[j])
    path, count = np.empty(max_paths, np.int32), np.zeros(n_target, np.int32)
    own_at, own_n = np.empty(most, np.int64), np.empty(most, np.int64)
    for j in range(items[0], items[1]):
        first, last = item_start[j], item_start[j + 1]
        width = _lay_out(
            first, last, event_user, event_testifies, event_time, target_start, target_item,
            target_time_start, target_time, window, path, own_at, own_n,
        )  # fmt: skip
        for r in range(width):
            count[path[r]] += 1
        for x in range(first, last):
            at, own = own_at[x - first], own_n[x - first]
            others, out = width - own, (x - base) * draws
            if others == 0:
                item[out : out + draws] = NO_ITEM
                continue
            key = mix(event_key[x] ^ stream)
            for y in range(at, at + own):
                count[path[y]] -= 1
            for d in range(draws):
                place = np.int64(unit(key, U64(d)) * others)
                i = path[place + own * np.int64(place >= at)]
                item[out + d] = i
                support[out + d] = count[i]
                confidence[out + d] = np.float32(count[i] / others)
            for y in range(at, at + own):
                count[path[y]] += 1
        for r in range(width):
            count[path[r]] = 0


@njit(inline="always")
def _weight(count: Any, min_support: Any, power: Any) -> Any:
    """Return count ** power, or 0 below the minimum support."""
    if count < min_support or count == 0:
        return 0.0
    return np.float64(count) if power == 1.0 else np.float64(count) ** power


@njit(nogil=True)
def _draw_weighted(
    key: np.uint64,
    draw: int,
    distinct: Int32,
    cumulative: npt.NDArray[np.float64],
    count: Int32,
    min_support: int,
    power: float,
) -> int:
    """Draw one item in proportion to its weight under `count`, which has the user's own paths left out.

    `cumulative` sums the weights with those paths left in. They are never smaller, so a proposal from them that is
    accepted with the ratio of the two weights has the wanted law. After `REJECTIONS` proposals one scan over all
    items draws from the same law exactly, so the law holds whatever happens.
    """
    n = distinct.shape[0]
    total = cumulative[n - 1]
    if total <= 0.0:
        return NO_ITEM
    counter = U64(draw) * U64(2 * REJECTIONS + 1)
    for attempt in range(REJECTIONS):
        place = np.searchsorted(cumulative, unit(key, counter + U64(2 * attempt)) * total, side="right")
        k = min(place, n - 1)
        before = cumulative[k - 1] if k > 0 else 0.0
        wanted = _weight(count[distinct[k]], min_support, power)
        if unit(key, counter + U64(2 * attempt + 1)) * (cumulative[k] - before) < wanted:
            return int(distinct[k])
    total = 0.0
    for k in range(n):
        total += _weight(count[distinct[k]], min_support, power)
    left = unit(key, counter + U64(2 * REJECTIONS)) * total
    drawn = NO_ITEM
    for k in range(n):
        weight = _weight(count[distinct[k]], min_support, power)
        if weight > 0.0:
            drawn = distinct[k]
            left -= weight
            if left < 0.0:
                break
    return drawn


@njit(nogil=True)
def _take_top(draws: int, ranked: Int32, own: int, count: Int32, min_support: int, item: Int32) -> None:
    """Fill `item`, shape (draws,), with the items of the highest counts, ties by item code.

    `ranked` is in that order with the user's own paths left in; leaving them out lowers at most `own` counts, each
    by one, so the first draws + own places hold the answer.
    """
    n = min(ranked.shape[0], draws + own)
    for d in range(draws):
        best, best_count = NO_ITEM, 0
        for k in range(n):
            i = ranked[k]
            c = count[i]
            if c < min_support or c < best_count or c == 0 or (c == best_count and i > best):
                continue
            taken = False
            for before in range(d):
                taken = taken or item[before] == i
            if not taken:
                best, best_count = i, c
        item[d] = best


@njit(cache=True, nogil=True)
def draw_weighted_items(
    items: tuple[int, int],
    draws: int,
    stream: np.uint64,
    event_key: npt.NDArray[np.uint64],
    event_user: Int32,
    event_testifies: npt.NDArray[np.bool_],
    event_time: Int64,
    item_start: Int64,
    target_start: Int64,
    target_item: Int32,
    target_time_start: Int64,
    target_time: Int64,
    window: int,
    max_paths: int,
    n_target: int,
    item: Int32,
    confidence: npt.NDArray[np.float32],
    support: Int32,
    power: float,
    min_support: int,
    top: bool,
) -> None:
    """Draw items in proportion to count ** power, or take the top ones, among those with the minimum support.

    Arguments are those of `draw_uniform_paths`, then:

    Args:
        power: 1 / temperature.
        min_support: Least number of other users behind an item that may be drawn.
        top: Take the `draws` items with the highest counts instead of drawing.
    """
    base = item_start[items[0]]
    most = np.int64(0)
    for j in range(items[0], items[1]):
        most = max(most, item_start[j + 1] - item_start[j])
    path, count = np.empty(max_paths, np.int32), np.zeros(n_target, np.int32)
    own_at, own_n = np.empty(most, np.int64), np.empty(most, np.int64)
    room = min(max_paths, n_target)
    distinct_room, cumulative_room = np.empty(room, np.int32), np.empty(room, np.float64)
    for j in range(items[0], items[1]):
        first, last = item_start[j], item_start[j + 1]
        width = _lay_out(
            first, last, event_user, event_testifies, event_time, target_start, target_item,
            target_time_start, target_time, window, path, own_at, own_n,
        )  # fmt: skip
        n = 0
        for r in range(width):
            i = path[r]
            if count[i] == 0:
                distinct_room[n] = i
                n += 1
            count[i] += 1
        distinct = distinct_room[:n]
        distinct.sort()
        cumulative = cumulative_room[:n]
        if top:
            for k in range(n):
                cumulative[k] = -np.float64(count[distinct[k]])
            distinct = distinct[np.argsort(cumulative, kind="mergesort")]
        else:
            total = 0.0
            for k in range(n):
                total += _weight(count[distinct[k]], min_support, power)
                cumulative[k] = total
        for x in range(first, last):
            at, own = own_at[x - first], own_n[x - first]
            others, out = width - own, (x - base) * draws
            if others == 0:
                item[out : out + draws] = NO_ITEM
                continue
            for y in range(at, at + own):
                count[path[y]] -= 1
            if top:
                _take_top(draws, distinct, own, count, min_support, item[out : out + draws])
            else:
                key = mix(event_key[x] ^ stream)
                for d in range(draws):
                    item[out + d] = _draw_weighted(key, d, distinct, cumulative, count, min_support, power)
            for z in range(out, out + draws):
                if item[z] != NO_ITEM:
                    support[z] = count[item[z]]
                    confidence[z] = np.float32(count[item[z]] / others)
            for y in range(at, at + own):
                count[path[y]] += 1
        for r in range(width):
            count[path[r]] = 0
