"""Lay out the paths of one source item: the target items of its users, one user after another, in a reused buffer.

Source events stand sorted by (item, user, time). A place in the buffer is a path (source item -> overlap user -> target
item), and a user's own places form one range, so leaving the user out is an arithmetic skip.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation import Codes, Floats, Int64, Mask, prefetch

U32 = np.uint32  # as an index, a code that is known to be none of the negative ones needs no test for them

NO_ITEM = -1  # what a draw holds where no other user has a path
LONG = 16  # items worth stamping or laying out for one look-up: a binary search takes the time of about so many
MOST_STAMPS = 2**30  # before all stamps are wiped; one block of events adds far fewer

# Places in `Workspace.state`.
ITEM, FILLING, WIDTH, N_LAID, N_VIRTUAL, STAMP, N_DISTINCT, N_TABLE = range(8)

# Values of `state[FILLING]`: what the workspace holds of the item.
PATHS, COUNTS, WEIGHTS, RANKS = range(4)


class Workspace(NamedTuple):
    """Arrays that one thread reuses from call to call, and in them the layout of the last source item.

    A workspace belongs to one set of events and target histories and to one window: used on others, it would take what
    it holds for theirs. Draws, weights and whether confidence is asked for may change between calls.
    """

    state: Int64  # shape (8,): the item that is laid out, or -1, and counters
    path: Codes  # shape (max_paths + 4,): target items by user
    own_at: Int64  # shape (max_events,): for each event of the item, where its user's paths begin
    own_n: Codes  # shape (max_events,): and how many they are
    tally: Codes  # shape (n_target, 2): laid-out users behind each target item, and the stamp of who last had it
    virtual_at: Int64  # shape (n,): users who are not laid out: where their paths would begin, ascending
    virtual_from: Int64  # shape (n,): where their items begin in `target_item`
    virtual_n: Int64  # shape (n,): and how many they are
    distinct: Codes  # shape (min(max_paths, n_target),): target items of the item, ascending or by rank
    spare: Codes  # same shape: guide table, or what is to be ranked
    cumulative: Floats  # same shape: sums of weights over `distinct`
    table: Floats  # shape (max_events + 1,): weight of each count
    level: Codes  # shape (max_events + 2,): where each count starts among the ranks
    bits: npt.NDArray[np.uint64]  # one bit per target item, then one per word of those
    law: Floats  # shape (2,): power and least support that `table` was made for


def make_workspace(max_events: int, max_paths: int, n_target: int, *, weighted: bool) -> Workspace:
    """Make room for any source item.

    Args:
        max_events: Most events of one source item.
        max_paths: Most paths of one source item, before any window.
        n_target: Number of target items.
        weighted: Whether `draw_weighted_items` is to use it.
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
def count_paths(event_user: Codes, event_testifies: Mask, item_start: Int64, target_start: Int64) -> Int64:
    """Return for each source item, shape (n_items,), how many paths it has at most (before any window).

    Args:
        event_user: Shape (n,), sorted by (item, user).
        event_testifies: Shape (n,), or (0,) where all testify.
        item_start: Shape (n_items + 1,), where each source item's events start.
        target_start: Shape (n_users + 1,), where each user's target items start.
    """
    all_testify = event_testifies.shape[0] == 0
    paths = np.zeros(item_start.shape[0] - 1, np.int64)
    for j in range(item_start.shape[0] - 1):
        previous = -1
        for x in range(item_start[j], item_start[j + 1]):
            u = event_user[x]
            if u != previous and (all_testify or event_testifies[x]):
                paths[j] += target_start[u + 1] - target_start[u]
            previous = u
    return paths


@njit(nogil=True)
def is_among(items: Codes, begin: int, end: int, item: int) -> bool:
    """Say whether `item` is in items[begin:end], which ascend."""
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
    """Return a number after which `n` stamps follow that no target item bears, and count them as taken."""
    if state[STAMP] >= MOST_STAMPS:
        for i in range(tally.shape[0]):
            tally[i, 1] = 0
        state[STAMP] = 0
    state[STAMP] += n
    return np.int32(state[STAMP] - n)


@njit(nogil=True)
def lay_out(
    workspace: Workspace,
    first: int,
    last: int,
    most: int,
    event_user: Codes,
    event_testifies: Mask,
    target_start: Int64,
    target_item: Codes,
) -> None:
    """Lay out the paths of the item whose events are rows [first, last), without a window.

    Users with more than `most` target items become virtual: their paths have places, but are not laid out.
    """
    state, path, own_at, own_n = workspace.state, workspace.path, workspace.own_at, workspace.own_n
    width, laid, n_virtual = np.int64(0), np.int64(0), np.int64(0)
    virtual_at, virtual_from, virtual_n = workspace.virtual_at, workspace.virtual_from, workspace.virtual_n
    at, own, previous = np.int64(0), np.int64(0), np.int32(-1)
    all_testify, final = event_testifies.shape[0] == 0, event_user.shape[0] - 1
    for x in range(first, last):
        prefetch(target_start, event_user[min(x + 32, final)])
        prefetch(target_item, target_start[event_user[min(x + 12, final)]])  # its start has arrived by now
        u = event_user[x]
        if u != previous:
            previous, at, own = u, width, np.int64(0)
            if all_testify or event_testifies[x]:
                begin = target_start[u]
                own = target_start[u + 1] - begin
                if own > most:
                    virtual_at[n_virtual] = at
                    virtual_from[n_virtual] = begin
                    virtual_n[n_virtual] = own
                    n_virtual += 1
                else:
                    copied = np.int64(0)
                    if begin + 4 <= target_item.shape[0]:  # four at once: most histories need no loop then
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
def lay_out_window(
    workspace: Workspace,
    first: int,
    last: int,
    event_user: Codes,
    event_testifies: Mask,
    event_time: Int64,
    recent_start: Int64,
    recent_item: Codes,
    recent_time: Int64,
    window: int,
) -> None:
    """Lay out the paths of the item whose events are rows [first, last): what follows an event by 0 .. `window`.

    The time it takes goes with the target events that are found, not with the length of a history.
    """
    state, path, own_at, own_n = workspace.state, workspace.path, workspace.own_at, workspace.own_n
    tally = workspace.tally
    all_testify, final = event_testifies.shape[0] == 0, event_user.shape[0] - 1
    stamp = take_stamps(state, tally, last - first)
    width, x = np.int64(0), first
    while x < last:
        u, at, end = event_user[x], width, x + 1
        prefetch(recent_start, event_user[min(x + 32, final)])
        prefetch(recent_time, recent_start[event_user[min(x + 12, final)]])
        while end < last and event_user[end] == u:
            end += 1
        if all_testify or event_testifies[x]:
            stamp, y, stop = stamp + np.int32(1), recent_start[u], recent_start[u + 1]
            for s in range(x, end):
                # Target events before this source event follow no later one either, so y never goes back.
                y += np.searchsorted(recent_time[y:stop], event_time[s])
                latest = event_time[s] + window
                if latest < event_time[s]:  # beyond the last time there is
                    latest = np.iinfo(np.int64).max
                while y < stop and recent_time[y] <= latest:
                    i = recent_item[y]
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
def forget(workspace: Workspace) -> None:
    """Take the item that is laid out away: all counts become 0 again."""
    state, path, tally = workspace.state, workspace.path, workspace.tally
    if state[ITEM] >= 0 and state[FILLING] != PATHS:
        if state[N_LAID] < tally.shape[0]:
            for r in range(state[N_LAID]):
                tally[U32(path[r]), 0] = 0
        else:
            tally[:, 0] = 0
    state[ITEM] = -1
