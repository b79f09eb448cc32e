"""Draw items in proportion to a power of their counts, or take the ones with the highest counts.

Both need the ordered list of all target items of the source item: ascending for draws, by rank for the highest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation import Codes, Floats, fill_units, lowest_bit, unit
from scalr.synthesis.kernels.path_layout import (
    FILLING,
    ITEM,
    LONG,
    N_DISTINCT,
    N_LAID,
    N_TABLE,
    NO_ITEM,
    PATHS,
    RANKS,
    U32,
    WEIGHTS,
    WIDTH,
    Draws,
    Paths,
    Sampling,
    Workspace,
    load_item,
    part_of,
    source_item_of,
    take_stamps,
)

U64 = np.uint64
UNITS_AT_ONCE = 4096  # proposals per block, and as many random numbers to accept them: 64 KiB
REJECTIONS = 64  # proposals before the exact scan; see `_draw_rejected`
REJECTED = -2  # the item of a draw whose proposals were not accepted so far
COUNTERS = 2 * REJECTIONS + 1  # random numbers that one draw may need


@njit(nogil=True)
def _count_items(workspace: Workspace) -> Any:
    """Count the paths to each target item, fill `distinct`, ascending, and return the largest count."""
    state, path, tally = workspace.state, workspace.path, workspace.tally
    distinct, bits = workspace.distinct, workspace.bits
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
    if n * 16 < bits.shape[0] - words:  # sorting few items is faster than a look at all bits
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
    """Fill `table` up to count `most`, `cumulative`, and the guide table for searches in it.

    The guide table cuts the total into one slice per item and holds the start of the search in each slice, so that a
    search takes one step on average.
    """
    state, tally, distinct, guide = workspace.state, workspace.tally, workspace.distinct, workspace.spare
    cumulative, table, law = workspace.cumulative, workspace.table, workspace.law
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
    state, tally, distinct = workspace.state, workspace.tally, workspace.distinct
    spare, level = workspace.spare, workspace.level
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
    while k > 0 and cumulative[k - 1] > wanted:  # the guide may overshoot by rounding
        k -= 1
    return k


@njit(inline="always")
def _own_free_weight(distinct: Codes, tally: Codes, table: Floats, k: int, stamp: Any) -> Any:
    """Return the weight of distinct item `k` without the user whose items have the stamp."""
    i = U32(distinct[k])
    return table[tally[i, 0] - np.int32(tally[i, 1] == stamp)]


@njit(nogil=True)
def _draw_rejected(workspace: Workspace, key: Any, stamp: Any, item: Codes) -> None:
    """Repeat the `REJECTED` draws of one event, whose user's own items have the stamp.

    After `REJECTIONS` proposals one scan over all items draws from the same distribution exactly.
    """
    # Arrays, not fields of the workspace: in a loop, each access to a field would count a reference.
    distinct, cumulative, guide = workspace.distinct, workspace.cumulative, workspace.spare
    tally, table = workspace.tally, workspace.table
    n, total = workspace.state[N_DISTINCT], -1.0  # below 0: not computed yet
    for d in range(item.shape[0]):
        if item[d] != REJECTED:
            continue
        counter, attempt = U64(d) * U64(COUNTERS), 0
        while item[d] == REJECTED and total != 0.0:
            attempt += 1
            # By now the proposals took about as long as computing the sum, which shows whether any item is left.
            if total < 0.0 and (attempt * LONG >= n or attempt == REJECTIONS):
                total = 0.0
                for k in range(n):
                    total += _own_free_weight(distinct, tally, table, k, stamp)
            if total == 0.0 or attempt == REJECTIONS:
                break
            k = _propose(cumulative, guide, n, unit(key, counter + U64(2 * attempt)))
            weight = cumulative[k] - (cumulative[k - 1] if k > 0 else 0.0)
            wanted = _own_free_weight(distinct, tally, table, k, stamp)
            if unit(key, counter + U64(2 * attempt + 1)) * weight < wanted:
                item[d] = distinct[k]
        if item[d] == REJECTED:
            item[d] = NO_ITEM
            left = unit(key, counter + U64(2 * REJECTIONS)) * total
            for k in range(n if total > 0.0 else 0):  # the item at which cumulative weights exceed `left`
                weight = _own_free_weight(distinct, tally, table, k, stamp)
                if weight > 0.0:
                    item[d] = distinct[k]
                    left -= weight
                    if left < 0.0:
                        break


@njit(inline="always")
def _fill_confidence(tally: Codes, stamp: Any, others: float, drawn: Draws, first: int, last: int) -> None:
    """Fill confidence and support of the places [first, last), the draws of a user whose items have the stamp."""
    for f in range(first, last):
        if drawn.item[f] != NO_ITEM:
            i = U32(drawn.item[f])
            count = tally[i, 0] - np.int32(tally[i, 1] == stamp)
            drawn.support[f] = count
            drawn.confidence[f] = np.float32(np.float64(count) / others)


@njit(nogil=True, error_model="numpy")
def _draw(
    workspace: Workspace, e: int, n: int, draws: int, keys: npt.NDArray[np.uint64], units: Floats, drawn: Draws
) -> None:
    """Draw for the events [e, e + n) of the item that is laid out, in proportion to weights without the own user.

    `cumulative` sums the weights including the user's own paths. These are never smaller, so a proposal from them that
    is accepted with the ratio of the two weights has the right distribution. `units`, shape (2 * draws, n), holds the
    random numbers of the first proposals, then those of their acceptances.
    """
    path, own_at, own_n, width = workspace.path, workspace.own_at, workspace.own_n, workspace.state[WIDTH]
    tally, distinct, cumulative = workspace.tally, workspace.distinct, workspace.cumulative
    guide, table, item = workspace.spare, workspace.table, drawn.item
    n_distinct, stamp = workspace.state[N_DISTINCT], take_stamps(workspace.state, tally, n)
    final = n_distinct - 1
    total = cumulative[final] if n_distinct > 0 else 0.0
    for x in range(n):
        at, own, out = own_at[e + x], np.int64(own_n[e + x]), x * draws
        if own == width or total <= 0.0:
            item[out : out + draws] = NO_ITEM
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
            for _ in range(2):  # without branches: most searches end here, after an unpredictable number of steps
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
        if drawn.confidence.shape[0] > 0:
            _fill_confidence(tally, stamp, np.float64(width - own), drawn, out, out + draws)


@njit(inline="always")
def _merge_ranks(workspace: Workspace, stamp: Any, least: int, item: Codes) -> None:
    """Fill `item` with the items of the highest counts without the user whose items have the stamp.

    One user less lowers the counts of its own items by one and keeps their order among themselves: a walk along the
    ranks of own items and a walk along those of the others merge into the result. Each walk skips only items of the
    other, so both end after as many steps as there are draws and own items.
    """
    tally, ranked, n_ranked = workspace.tally, workspace.distinct, workspace.state[N_DISTINCT]
    a, b = np.int64(0), np.int64(0)
    for f in range(item.shape[0]):
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


@njit(nogil=True, error_model="numpy")
def _take_top(workspace: Workspace, e: int, n: int, sampling: Sampling, drawn: Draws) -> None:
    """Take the items with the highest counts, ties by item code, for the events [e, e + n) of the item laid out."""
    path, own_at, own_n, width = workspace.path, workspace.own_at, workspace.own_n, workspace.state[WIDTH]
    tally, draws, item = workspace.tally, sampling.draws, drawn.item
    stamp, least = take_stamps(workspace.state, tally, n), max(sampling.min_support, 1)
    counted = drawn.confidence.shape[0] > 0
    for x in range(n):
        at, own, out = own_at[e + x], np.int64(own_n[e + x]), x * draws
        if own == width:
            item[out : out + draws] = NO_ITEM
            continue
        if x > 0 and at == own_at[e + x - 1] and own == own_n[e + x - 1]:  # the same user again
            for f in range(out, out + draws):
                item[f] = item[f - draws]
                if counted:
                    drawn.support[f], drawn.confidence[f] = drawn.support[f - draws], drawn.confidence[f - draws]
            continue
        stamp += np.int32(1)
        for y in range(at, at + own):
            tally[U32(path[y]), 1] = stamp
        _merge_ranks(workspace, stamp, least, item[out : out + draws])
        if counted:
            _fill_confidence(tally, stamp, np.float64(width - own), drawn, out, out + draws)


@njit(nogil=True)
def _load(workspace: Workspace, paths: Paths, j: int, sampling: Sampling) -> None:
    """Lay out source item `j` and rank its items, or sum their weights, unless the workspace holds that already."""
    state, law = workspace.state, workspace.law
    filling = RANKS if sampling.is_top else WEIGHTS
    stale = not sampling.is_top and (law[0] != sampling.power or law[1] != sampling.min_support)
    if state[ITEM] == j and state[FILLING] == filling and not stale:
        return
    load_item(workspace, paths, j, np.iinfo(np.int64).max, PATHS)
    most = _count_items(workspace)
    if sampling.is_top:
        _rank(workspace, most)
    else:
        _sum_weights(workspace, most, sampling.power, sampling.min_support)
    state[FILLING] = filling


@njit(cache=True, nogil=True)
def draw_weighted_items(
    workspace: Workspace, paths: Paths, rows: tuple[int, int], sampling: Sampling, stream: np.uint64, drawn: Draws
) -> None:
    """Draw items in proportion to count ** power, or take the top items, among those with the minimum support.

    Arguments are those of `draw_uniform_paths`, with `sampling` in place of `draws`. There are no virtual users: the
    history of every user is copied once per source item, which is the main cost of a long history here.
    """
    draws, top = sampling.draws, sampling.is_top
    at_once = max(1, UNITS_AT_ONCE // draws)
    keys, units = np.empty(at_once, np.uint64), np.empty((0 if top else 2 * draws, at_once))
    x, last = rows
    j = source_item_of(paths, x)
    while x < last:
        stop, start = min(x + at_once, last), x
        if not top:
            events = drawn.key[x - rows[0] : stop - rows[0]]
            fill_units(events, stream, COUNTERS, 0, keys, units[:draws])
            fill_units(events, stream, COUNTERS, 1, keys, units[draws:])
        while x < stop:
            while paths.item_start[j + 1] <= x:
                j += 1
            end = min(stop, paths.item_start[j + 1])
            _load(workspace, paths, j, sampling)
            e, n = x - paths.item_start[j], end - x
            part = part_of(drawn, (x - rows[0]) * draws, (end - rows[0]) * draws)
            if top:
                _take_top(workspace, e, n, sampling, part)
            else:
                _draw(workspace, e, n, draws, keys[x - start :], units[:, x - start :], part)
            x = end
