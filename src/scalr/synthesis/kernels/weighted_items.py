"""Draw items in proportion to a power of their counts, or take the ones with the highest counts.

Both need every target item behind the source item, in order: ascending for draws, by rank for the highest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation import Codes, Floats, Int64, Mask, Singles, fill_units, lowest_bit, unit
from scalr.synthesis.kernels.path_layout import (
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
    Workspace,
    forget,
    lay_out,
    lay_out_window,
    take_stamps,
)

U64 = np.uint64
UNITS_AT_ONCE = 4096  # random numbers made at a time, for proposals and as many to accept them: 64 KiB
REJECTIONS = 64  # proposals before the exact scan takes over; see `_draw_rejected`
REJECTED = -2  # what a draw holds while no proposal is accepted
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
    n = np.int64(0)
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
    at = np.int64(0)
    for g in range(n):
        edge = total * (np.float64(g) / np.float64(n))
        while at < n - 1 and cumulative[at] <= edge:
            at += 1
        guide[g] = at


@njit(nogil=True)
def _rank(workspace: Workspace, most: int) -> None:
    """Sort `distinct` by count, the highest first, ties by item code (a counting sort)."""
    state, tally, distinct, spare, level = (
        workspace.state, workspace.tally, workspace.distinct, workspace.spare, workspace.level,
    )  # fmt: skip
    n = state[N_DISTINCT]
    level[: most + 2] = 0
    for k in range(n):
        spare[k] = distinct[k]
        level[most - tally[U32(distinct[k]), 0] + 1] += 1
    for count in range(most):
        level[count + 1] += level[count]
    for k in range(n):
        c = most - tally[U32(spare[k]), 0]
        distinct[level[c]] = spare[k]
        level[c] += 1


@njit(nogil=True)
def _propose(cumulative: Floats, guide: Codes, n: Any, left: Any) -> Any:
    """Return the first k with cumulative[k] > left * total, or n - 1; `left` is in [0, 1)."""
    wanted = left * cumulative[n - 1]
    k = np.int64(guide[min(np.int64(left * np.float64(n)), n - 1)])
    while k < n - 1 and cumulative[k] <= wanted:
        k += 1
    while k > 0 and cumulative[k - 1] > wanted:  # rounding may put the guide too far
        k -= 1
    return k


@njit(nogil=True)
def _draw_rejected(workspace: Workspace, key: Any, stamp: Any, item: Codes) -> None:
    """Draw what is `REJECTED` among the draws of one event, whose user's own items bear `stamp`.

    After `REJECTIONS` proposals one scan over all items draws from the same law exactly, so the law holds whatever
    happens.
    """
    tally, distinct, cumulative, guide, table = (
        workspace.tally, workspace.distinct, workspace.cumulative, workspace.spare, workspace.table,
    )  # fmt: skip
    n, total = workspace.state[N_DISTINCT], -1.0  # below 0: not known yet
    for d in range(item.shape[0]):
        if item[d] != REJECTED:
            continue
        counter, attempt = U64(d) * U64(COUNTERS), 0
        while item[d] == REJECTED and total != 0.0:
            attempt += 1
            # By now proposals have taken about the time of a sum, which tells whether there is anything to find.
            if total < 0.0 and (attempt * LONG >= n or attempt == REJECTIONS):
                total = 0.0
                for k in range(n):
                    i = U32(distinct[k])
                    total += table[tally[i, 0] - np.int32(tally[i, 1] == stamp)]
            if total == 0.0 or attempt == REJECTIONS:
                break
            k = _propose(cumulative, guide, n, unit(key, counter + U64(2 * attempt)))
            i = U32(distinct[k])
            weight = cumulative[k] - (cumulative[k - 1] if k > 0 else 0.0)
            wanted = table[tally[i, 0] - np.int32(tally[i, 1] == stamp)]
            if unit(key, counter + U64(2 * attempt + 1)) * weight < wanted:
                item[d] = distinct[k]
        if item[d] == REJECTED:
            item[d] = NO_ITEM
            left = unit(key, counter + U64(2 * REJECTIONS)) * total
            for k in range(n if total > 0.0 else 0):
                i = U32(distinct[k])
                weight = table[tally[i, 0] - np.int32(tally[i, 1] == stamp)]
                if weight > 0.0:
                    item[d] = distinct[k]
                    left -= weight
                    if left < 0.0:
                        break


@njit(nogil=True, error_model="numpy")
def _draw(
    workspace: Workspace,
    e: int,
    n: int,
    draws: int,
    keys: npt.NDArray[np.uint64],
    units: Floats,
    item: Codes,
    confidence: Singles,
    support: Codes,
) -> None:
    """Draw for the events [e, e + n) of the item that is laid out, in proportion to weights without the own user.

    `cumulative` sums the weights with the user's own paths left in. They are never smaller, so a proposal from them
    that is accepted with the ratio of the two weights has the wanted law. `units`, shape (2 * draws, n), holds what
    the first proposals, then what their acceptances hang on.
    """
    path, own_at, own_n, width = workspace.path, workspace.own_at, workspace.own_n, workspace.state[WIDTH]
    tally, distinct, cumulative, guide, table = (
        workspace.tally, workspace.distinct, workspace.cumulative, workspace.spare, workspace.table,
    )  # fmt: skip
    n_distinct, stamp = workspace.state[N_DISTINCT], take_stamps(workspace.state, tally, n)
    final = n_distinct - 1
    total = cumulative[final] if n_distinct > 0 else 0.0
    for x in range(n):
        at, own, out = own_at[e + x], np.int64(own_n[e + x]), x * draws
        if own == width or total <= 0.0:
            for f in range(out, out + draws):
                item[f] = NO_ITEM
            continue
        if x == 0 or at != own_at[e + x - 1] or own != own_n[e + x - 1]:
            stamp += np.int32(1)
            for y in range(at, at + own):
                tally[U32(path[y]), 1] = stamp
        rejected = False
        for d in range(draws):
            unit_k, unit_weight = units[d, x], units[draws + d, x]
            wanted = unit_k * total
            k = np.int64(guide[U64(min(np.int64(unit_k * np.float64(n_distinct)), final))])
            for _ in range(2):  # without branches: most searches end here, and nobody can foretell after which step
                k = min(k + np.int64(cumulative[U64(k)] <= wanted), final)
            while k < final and cumulative[k] <= wanted:
                k += 1
            while k > 0 and cumulative[k - 1] > wanted:
                k -= 1
            weight = cumulative[k] - (cumulative[k - 1] if k > 0 else 0.0)
            i = U32(distinct[k])
            accepted = unit_weight * weight < table[tally[i, 0] - np.int32(tally[i, 1] == stamp)]
            item[out + d] = distinct[k] if accepted else np.int32(REJECTED)
            rejected |= not accepted
        if rejected:
            _draw_rejected(workspace, keys[x], stamp, item[out : out + draws])
        if confidence.shape[0] == 0:
            continue
        others = np.float64(width - own)
        for f in range(out, out + draws):
            if item[f] != NO_ITEM:
                i = U32(item[f])
                count = tally[i, 0] - np.int32(tally[i, 1] == stamp)
                support[f] = count
                confidence[f] = np.float32(np.float64(count) / others)


@njit(nogil=True, error_model="numpy")
def _take_top(
    workspace: Workspace,
    e: int,
    n: int,
    draws: int,
    min_support: int,
    item: Codes,
    confidence: Singles,
    support: Codes,
) -> None:
    """Take the items of the highest counts, ties by item code, for the events [e, e + n) of the item laid out.

    Leaving a user out lowers the counts of its own items by one and so keeps their order among themselves: a walk along
    the ranks of own items and one along those of the others merge into the answer. A walk passes only what the other
    one takes, so both end after as many steps as there are draws and own items, whatever the ranks hold.
    """
    path, own_at, own_n, width = workspace.path, workspace.own_at, workspace.own_n, workspace.state[WIDTH]
    tally, ranked, n_ranked = workspace.tally, workspace.distinct, workspace.state[N_DISTINCT]
    stamp, least = take_stamps(workspace.state, tally, n), max(min_support, 1)
    for x in range(n):
        at, own, out = own_at[e + x], np.int64(own_n[e + x]), x * draws
        if own == width:
            for f in range(out, out + draws):
                item[f] = NO_ITEM
            continue
        if x > 0 and at == own_at[e + x - 1] and own == own_n[e + x - 1]:  # the same user again
            for f in range(out, out + draws):
                item[f] = item[f - draws]
                if confidence.shape[0] > 0:
                    support[f], confidence[f] = support[f - draws], confidence[f - draws]
            continue
        stamp += np.int32(1)
        for y in range(at, at + own):
            tally[U32(path[y]), 1] = stamp
        a, b = np.int64(0), np.int64(0)
        for f in range(out, out + draws):
            while a < n_ranked and tally[U32(ranked[a]), 1] == stamp:
                a += 1
            count_a = np.int64(tally[U32(ranked[a]), 0]) if a < n_ranked else np.int64(0)
            while b < n_ranked and tally[U32(ranked[b]), 1] != stamp and tally[U32(ranked[b]), 0] > count_a:
                b += 1
            count_b = np.int64(tally[U32(ranked[b]), 0]) - 1 if b < n_ranked else np.int64(-1)
            if max(count_a, count_b) < least:
                item[f] = NO_ITEM
            elif count_b > count_a or (count_b == count_a and ranked[b] < ranked[a]):
                item[f] = ranked[b]
                b += 1
            else:
                item[f] = ranked[a]
                a += 1
        if confidence.shape[0] == 0:
            continue
        others = np.float64(width - own)
        for f in range(out, out + draws):
            if item[f] != NO_ITEM:
                i = U32(item[f])
                count = tally[i, 0] - np.int32(tally[i, 1] == stamp)
                support[f] = count
                confidence[f] = np.float32(np.float64(count) / others)


@njit(cache=True, nogil=True)
def draw_weighted_items(
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
    confidence: Singles,
    support: Codes,
    power: float,
    min_support: int,
    top: bool,
) -> None:
    """Draw items in proportion to count ** power, or take the top ones, among those with the minimum support.

    Arguments are those of `draw_uniform_paths`, then those below. All users are laid out, whatever the length of their
    history, once for each source item they have: that takes longer than all else that a long history costs here.

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
            e, n = x - first, end - x
            if top:
                _take_top(workspace, e, n, draws, min_support, item[out:to], confidence[out:to], support[out:to])
            else:
                _draw(
                    workspace, e, n, draws, keys[x - start :], units[:, x - start :],
                    item[out:to], confidence[out:to], support[out:to],
                )  # fmt: skip
            x = end
