"""Lay out the paths of one source item: the target items of its users, user by user, in a reusable buffer.

Source events are sorted by (item, user, time). A place in the buffer is a path (source item -> overlap user -> target
item). The paths of a user form one range, so leaving that user out takes only an arithmetic skip.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation import Codes, Floats, Int64, Keys, Mask, Singles, prefetch

U32 = np.uint32  # an index of this type needs no check for negative values

NO_ITEM = -1  # the item of a draw where no other user has a path
LONG = 16  # marking this many items takes about the time of one binary search
MOST_STAMPS = 2**30  # all stamps are cleared above this; a block of events adds far fewer

# Places in `Workspace.state`.
ITEM, FILLING, WIDTH, N_LAID, N_VIRTUAL, STAMP, N_DISTINCT, N_TABLE = range(8)

# Values of `state[FILLING]`: what the workspace holds for the item.
PATHS, COUNTS, WEIGHTS, RANKS = range(4)


class Paths(NamedTuple):
    """Source events by item and target items by user, which together define all paths."""

    user: Codes  # shape (n,): users of all source events, sorted by (item, user, time), as are the next two
    contributes: Mask  # shape (n,): whether the event's (user, item) adds paths for others; (0,) if all do
    time: Int64  # shape (n,): read only with a window
    item_start: Int64  # shape (n_source + 1,): start of each source item's events
    target_start: Int64  # shape (n_users + 1,): start of each user's target items
    target_item: Codes  # distinct target items by user, ascending within a user
    recent_start: Int64  # shape (n_users + 1,): start of each user's target events; read only with a window
    recent_item: Codes  # their items, by user and time; read only with a window
    recent_time: Int64  # their times, ascending within a user; read only with a window
    window: int  # longest time from source to target event; negative for no window


class Sampling(NamedTuple):
    """How items are drawn for each event."""

    draws: int  # items per event, at least 1
    power: float  # 1 / temperature: weights are count ** power
    min_support: int  # least number of other users behind a drawn item
    is_top: bool  # take the items with the highest weights instead of drawing


class Draws(NamedTuple):
    """Draws for a range of source events, event by event; the next call overwrites the arrays."""

    key: Keys  # shape (events,): stable keys of the source events
    item: Codes  # shape (events * draws,): codes of target items, or `NO_ITEM`
    confidence: Singles  # same shape: P(item | source item) without the user's own events, in (0, 1]
    support: Codes
    """Same shape: distinct other users with both the source item and the item, at least 1. After back-off: with the
    category and the item, or with the item alone."""

    @classmethod
    def allocate(cls, n: int) -> Draws:
        """Return arrays for `n` draws, without keys."""
        return cls(np.empty(0, np.uint64), np.empty(n, np.int32), np.empty(n, np.float32), np.empty(n, np.int32))

    def first(self, n: int, key: Keys) -> Draws:
        """Return views of the first `n` draws, with the keys of their events."""
        return Draws(key, self.item[:n], self.confidence[:n], self.support[:n])


class Workspace(NamedTuple):
    """Arrays that one thread reuses from call to call. They hold the layout of the last source item.

    A workspace belongs to one `Paths`: with another it would return draws of the first. The number of draws, the
    weights and whether confidence is computed may change between calls.
    """

    state: Int64  # shape (8,): the item that is laid out, or -1, and counters
    path: Codes  # shape (max_paths + 4,): target items by user
    own_at: Int64  # shape (max_events,): for each event of the item, the start of its user's paths
    own_n: Codes  # shape (max_events,): and their number
    tally: Codes  # shape (n_target, 2): laid-out users with each target item, and the last stamp of that item
    virtual_at: Int64  # shape (n,): users who are not laid out: start of their places, ascending
    virtual_from: Int64  # shape (n,): start of their items in `target_item`
    virtual_n: Int64  # shape (n,): and their number
    distinct: Codes  # shape (min(max_paths, n_target),): target items of the item, ascending or by rank
    spare: Codes  # same shape: guide table, or items to be ranked
    cumulative: Floats  # same shape: cumulative weights over `distinct`
    table: Floats  # shape (max_events + 1,): weight of each count
    level: Codes  # shape (max_events + 2,): start of each count among the ranks
    bits: npt.NDArray[np.uint64]  # one bit per target item, then one per word of those
    law: Floats  # shape (2,): power and minimum support for which `table` was filled


def make_workspace(max_events: int, max_paths: int, n_target: int, *, weighted: bool) -> Workspace:
    """Allocate a workspace that fits every source item.

    Args:
        max_events: Most events of one source item.
        max_paths: Most paths of one source item, before any window.
        n_target: Number of target items.
        weighted: Whether `draw_weighted_items` will use it.
    """
    # A virtual user has more items than the item has events, so k of them have more than k * k paths.
    virtual = min(max_events, int(max_paths**0.5) + 1)
    distinct = min(max_paths, n_target) if weighted else 0
    counts = max_events if weighted else 0
    words = n_target // 64 + 1 if weighted else 0
    state = np.zeros(8, np.int64)
    state[ITEM] = -1
    return Workspace(
        state=state,
        path=np.empty(max_paths + 4, np.int32),
        own_at=np.empty(max_events, np.int64),
        own_n=np.empty(max_events, np.int32),
        tally=np.zeros((n_target, 2), np.int32),
        virtual_at=np.empty(virtual, np.int64),
        virtual_from=np.empty(virtual, np.int64),
        virtual_n=np.empty(virtual, np.int64),
        distinct=np.empty(distinct, np.int32),
        spare=np.empty(distinct, np.int32),
        cumulative=np.empty(distinct, np.float64),
        table=np.empty(counts + 1, np.float64),
        level=np.empty(counts + 2, np.int32),
        bits=np.zeros(words + words // 64 + 1, np.uint64),
        law=np.full(2, np.nan),
    )


@njit(cache=True, nogil=True)
def count_paths(user: Codes, contributes: Mask, item_start: Int64, target_start: Int64) -> Int64:
    """Return an upper bound on the paths of each source item, shape (n_items,): their number before any window.

    The arguments are those of `Paths`.
    """
    all_contribute = contributes.shape[0] == 0
    paths = np.zeros(item_start.shape[0] - 1, np.int64)
    for j in range(item_start.shape[0] - 1):
        previous = -1
        for x in range(item_start[j], item_start[j + 1]):
            u = user[x]
            if u != previous and (all_contribute or contributes[x]):
                paths[j] += target_start[u + 1] - target_start[u]
            previous = u
    return paths


@njit(nogil=True)
def is_among(items: Codes, begin: int, end: int, item: int) -> bool:
    """Return whether `item` is in items[begin:end], which ascend."""
    low, high = begin, end
    while low < high:
        middle = (low + high) >> 1
        if items[middle] < item:
            low = middle + 1
        else:
            high = middle
    return low < end and items[low] == item


@njit(nogil=True)
def take_stamps(state: Int64, tally: Codes, n: int) -> Any:
    """Reserve `n` unused stamps and return the number before the first."""
    if state[STAMP] >= MOST_STAMPS:
        for i in range(tally.shape[0]):
            tally[i, 1] = 0
        state[STAMP] = 0
    state[STAMP] += n
    return np.int32(state[STAMP] - n)


@njit(nogil=True)
def _lay_out_histories(workspace: Workspace, paths: Paths, first: int, last: int, longest: int) -> None:
    """Lay out the paths of the item with the events [first, last), without a window.

    Users with more than `longest` target items become virtual: their paths have places, but are not copied.
    """
    state, path, own_at, own_n = workspace.state, workspace.path, workspace.own_at, workspace.own_n
    width, laid, n_virtual = np.int64(0), np.int64(0), np.int64(0)
    virtual_at, virtual_from, virtual_n = workspace.virtual_at, workspace.virtual_from, workspace.virtual_n
    at, own, previous = np.int64(0), np.int64(0), np.int32(-1)
    user, target_start, target_item = paths.user, paths.target_start, paths.target_item
    all_contribute, final = paths.contributes.shape[0] == 0, user.shape[0] - 1
    for x in range(first, last):
        prefetch(target_start, user[min(x + 32, final)])
        prefetch(target_item, target_start[user[min(x + 12, final)]])  # that start was prefetched 20 events earlier
        u = user[x]
        if u != previous:
            previous, at, own = u, width, np.int64(0)
            if all_contribute or paths.contributes[x]:
                begin = target_start[u]
                own = target_start[u + 1] - begin
                if own > longest:
                    virtual_at[n_virtual] = at
                    virtual_from[n_virtual] = begin
                    virtual_n[n_virtual] = own
                    n_virtual += 1
                else:
                    copied = np.int64(0)
                    if begin + 4 <= target_item.shape[0]:  # four at once: most histories then need no loop
                        a, b = target_item[begin], target_item[begin + 1]
                        c, d = target_item[begin + 2], target_item[begin + 3]
                        path[laid], path[laid + 1], path[laid + 2], path[laid + 3] = a, b, c, d
                        copied = np.int64(4)
                    for y in range(copied, own):
                        path[laid + y] = target_item[begin + y]
                    laid += own
                width += own
        own_at[x - first] = at
        own_n[x - first] = own
    state[WIDTH], state[N_LAID], state[N_VIRTUAL] = width, laid, n_virtual


@njit(nogil=True)
def _lay_out_window(workspace: Workspace, paths: Paths, first: int, last: int) -> None:
    """Lay out the paths of the item with the events [first, last): target events up to `window` after an event.

    The time grows with the number of target events in the windows, not with the length of a history.
    """
    state, path, own_at, own_n = workspace.state, workspace.path, workspace.own_at, workspace.own_n
    user, time, recent_start, recent_time = paths.user, paths.time, paths.recent_start, paths.recent_time
    tally = workspace.tally
    all_contribute, final = paths.contributes.shape[0] == 0, user.shape[0] - 1
    stamp = take_stamps(state, tally, last - first)
    width, x = np.int64(0), first
    while x < last:
        u, at, end = user[x], width, x + 1
        prefetch(recent_start, user[min(x + 32, final)])
        prefetch(recent_time, recent_start[user[min(x + 12, final)]])
        while end < last and user[end] == u:
            end += 1
        if all_contribute or paths.contributes[x]:
            stamp, y, stop = stamp + np.int32(1), recent_start[u], recent_start[u + 1]
            for s in range(x, end):
                # Target events before this source event are also before all later ones, so y never goes back.
                y += np.searchsorted(recent_time[y:stop], time[s])
                latest = time[s] + paths.window
                if latest < time[s]:  # integer overflow
                    latest = np.iinfo(np.int64).max
                while y < stop and recent_time[y] <= latest:
                    i = paths.recent_item[y]
                    if tally[U32(i), 1] != stamp:
                        tally[U32(i), 1] = stamp
                        path[width] = i
                        width += 1
                    y += 1
                if y == stop:
                    break
            if width - at > 1:
                path[at:width].sort()
        for e in range(x, end):
            own_at[e - first] = at
            own_n[e - first] = np.int32(width - at)
        x = end
    state[WIDTH], state[N_LAID], state[N_VIRTUAL] = width, width, 0


@njit(nogil=True)
def _clear(workspace: Workspace) -> None:
    """Reset all counts of the item that is laid out to 0."""
    state, path, tally = workspace.state, workspace.path, workspace.tally
    if state[ITEM] >= 0 and state[FILLING] != PATHS:
        if state[N_LAID] < tally.shape[0]:
            for r in range(state[N_LAID]):
                tally[U32(path[r]), 0] = 0
        else:
            tally[:, 0] = 0
    state[ITEM] = -1


@njit(nogil=True)
def load_item(workspace: Workspace, paths: Paths, item: int, longest: int, filling: int) -> None:
    """Lay out a source item in place of the previous one.

    Args:
        workspace: Made for these paths.
        paths: All paths.
        item: Number of the source item in `paths.item_start`.
        longest: Users with more target items become virtual; ignored with a window.
        filling: `COUNTS` to count the paths to each target item, or `PATHS`.
    """
    _clear(workspace)
    first, last = paths.item_start[item], paths.item_start[item + 1]
    if paths.window < 0:
        _lay_out_histories(workspace, paths, first, last, longest)
    else:
        _lay_out_window(workspace, paths, first, last)
    state = workspace.state
    if filling == COUNTS:
        tally, path = workspace.tally, workspace.path
        for r in range(state[N_LAID]):
            tally[U32(path[r]), 0] += 1
    state[ITEM], state[FILLING] = item, filling


@njit(nogil=True)
def source_item_of(paths: Paths, event: int) -> Any:
    """Return the number of the source item of an event."""
    return np.searchsorted(paths.item_start, event, side="right") - 1


@njit(nogil=True)
def part_of(draws: Draws, first: int, last: int) -> Any:
    """Return the places [first, last) of the items, confidences and supports, with all keys."""
    return Draws(draws.key, draws.item[first:last], draws.confidence[first:last], draws.support[first:last])
