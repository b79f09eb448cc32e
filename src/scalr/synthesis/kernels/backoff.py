"""Replace draws of rare source items by draws from their category's law, and those by popularity; all leave-one-out.

A law is a distribution over target items. With n paths of other users and m pseudo-paths, a draw from a law is kept
with probability n / (n + m) and otherwise replaced by a draw from the next wider law. This draws from the mixture
(n * law + m * wider law) / (n + m) without computing it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation import U64, Codes, Floats, Int64, Mask, Singles, mix, unit
from scalr.synthesis.kernels.category_laws import Laws, count_in, is_member, place_of, weight_of
from scalr.synthesis.kernels.path_layout import NO_ITEM, Draws, Sampling, is_among

REJECTIONS = 64  # proposals before the exact scan; see `_draw`
COUNTERS = 2 * REJECTIONS + 1  # random numbers that one law may need
PER_DRAW = 2 + 2 * COUNTERS  # two to choose the law, the others for the category and for popularity

ITEM, CATEGORY, POPULARITY = range(3)
"""The law that a draw comes from."""

LONG = 8  # filling this many places of an array takes about the time of one binary search

# Places in `Lookup.state`.
ROW, STAMP = range(2)


class Provenance(NamedTuple):
    """Where draws come from."""

    level: npt.NDArray[np.int8]  # shape (events * draws,): `ITEM`, `CATEGORY` or `POPULARITY`
    n_paths: Int64  # same shape: paths of other users of the source item; 0 where nothing was drawn from them


class Lookup(NamedTuple):
    """Arrays by target item that one thread reuses from call to call."""

    state: Int64  # shape (2,): the row whose counts are in `spread`, or -1, and the last stamp
    spread: Codes  # shape (n_target,): counts of that row
    stamp: Int64  # shape (n_target,): the last stamp of each target item


def make_lookup(n_target: int) -> Lookup:
    """Return arrays for this number of target items."""
    return Lookup(np.array([-1, 0]), np.zeros(n_target, np.int32), np.zeros(n_target, np.int64))


class Events(NamedTuple):
    """Source events and the target items of their users."""

    user: Codes  # shape (n,)
    item: Codes  # shape (n,)
    contributes: Mask  # shape (n,), whether the user's target items count for the item; or (0,) if all do
    target_start: Int64  # shape (n_users + 1,): start of each user's target items
    target_item: Codes  # distinct target items by user, ascending within a user


@njit(nogil=True)
def _locate(events: Events, laws: Laws, x: int) -> Any:
    """Return the row of an event's category, whether its user is in the group, and the user's target items."""
    u, row = events.user[x], laws.row_of_item[events.item[x]]
    contributes = events.contributes.shape[0] == 0 or events.contributes[x]
    return row, is_member(laws, row, u, contributes), events.target_start[u], events.target_start[u + 1]


@njit(nogil=True)
def _scan(laws: Laws, row: int, sampling: Sampling, target_item: Codes, begin: int, end: int, share: float) -> Any:
    """Draw from a row without the items [begin, end) of one of its users, by one walk along both."""
    drawn, total, left = np.int32(NO_ITEM), 0.0, 0.0
    for second in range(2):
        if second:
            left = share * total
        y = begin
        for k in range(laws.row_start[row], laws.row_start[row + 1]):
            while y < end and target_item[y] < laws.item[k]:
                y += 1
            count = laws.users[k] - np.int32(y < end and target_item[y] == laws.item[k])
            weight = weight_of(count, sampling.power, sampling.min_support)
            if second and weight > 0.0:
                drawn = laws.item[k]
                left -= weight
                if left < 0.0:
                    break
            total += 0.0 if second else weight
    return drawn


@njit(nogil=True)
def _draw(
    laws: Laws,
    cumulative: Floats,
    row: int,
    sampling: Sampling,
    target_item: Codes,
    begin: int,
    end: int,
    key: Any,
    counter: Any,
) -> Any:
    """Draw from a row without the target items [begin, end) of one of its users.

    Weights that include the user are never smaller, so a proposal from them that is accepted with the ratio of the two
    has the right distribution. After `REJECTIONS` proposals one scan draws from the same distribution exactly.
    """
    first, final = laws.level_start[row], laws.level_start[row + 1]
    total = cumulative[final - 1] if final > first else 0.0
    if total <= 0.0:
        return np.int32(NO_ITEM)
    power, least = sampling.power, sampling.min_support
    for attempt in range(REJECTIONS):
        wanted = unit(key, counter + U64(2 * attempt)) * total
        low, high = first, final
        while low < high:
            middle = (low + high) >> 1
            if cumulative[middle] <= wanted:
                low = middle + 1
            else:
                high = middle
        if low == final:  # by rounding
            continue
        count = laws.level_count[low]
        weight = weight_of(count, power, least)
        place = np.int64((wanted - (cumulative[low - 1] if low > first else 0.0)) / weight)
        item = laws.ranked[min(laws.level_first[low] + place, laws.level_first[low + 1] - 1)]
        if begin == end or not is_among(target_item, begin, end, item):
            return item
        if unit(key, counter + U64(2 * attempt + 1)) * weight < weight_of(count - 1, power, least):
            return item
    return _scan(laws, row, sampling, target_item, begin, end, unit(key, counter + U64(2 * REJECTIONS)))


@njit(nogil=True)
def _count_others(laws: Laws, row: int, item: int, target_item: Codes, begin: int, end: int) -> Any:
    """Return the users of a row's group with an item, without the user whose target items are [begin, end)."""
    if item == NO_ITEM:
        return np.int32(0)
    return count_in(laws, row, item) - np.int32(begin < end and is_among(target_item, begin, end, item))


@njit(cache=True, nogil=True, error_model="numpy")
def back_off(
    laws: Laws,
    cumulative: Floats,
    events: Events,
    pseudo_paths: float,
    rows: tuple[int, int],
    sampling: Sampling,
    stream: np.uint64,
    drawn: Draws,
    provenance: Provenance,
) -> None:
    """Replace draws of the events [rows[0], rows[1]) by draws from wider laws.

    Args:
        laws: Counts of categories and of all users.
        cumulative: From `sum_levels` with these laws, power and minimum support.
        events: All source events.
        pseudo_paths: Smoothing count of the wider law, above 0.
        rows: First event and the end of the range.
        sampling: Draws, power and minimum support.
        stream: Key of seed and purpose.
        drawn: Draws along the paths of the items; items and supports are replaced.
        provenance: Filled.
    """
    everyone, target_item, draws = laws.width.shape[0] - 1, events.target_item, sampling.draws
    for x in range(rows[0], rows[1]):
        row, is_in, begin, end = _locate(events, laws, x)
        own_end = end if is_in else begin
        n_category = 0 if row == everyone else laws.width[row] - (own_end - begin)
        key = mix(drawn.key[x - rows[0]] ^ stream)
        for d in range(draws):
            out = (x - rows[0]) * draws + d
            n, counter = np.int64(0), U64(d) * U64(PER_DRAW)
            if drawn.item[out] != NO_ITEM:
                n = np.int64(np.rint(np.float64(drawn.support[out]) / np.float64(drawn.confidence[out])))
            provenance.n_paths[out], provenance.level[out] = n, ITEM
            if n > 0 and unit(key, counter) * (n + pseudo_paths) >= pseudo_paths:
                continue
            item, users = np.int32(NO_ITEM), np.int32(0)
            if n_category > 0 and unit(key, counter + U64(1)) * (n_category + pseudo_paths) >= pseudo_paths:
                item = _draw(laws, cumulative, row, sampling, target_item, begin, own_end, key, counter + U64(2))
                users = _count_others(laws, row, item, target_item, begin, own_end)
                provenance.level[out] = CATEGORY
            if item == NO_ITEM:
                counter += U64(2 + COUNTERS)
                item = _draw(laws, cumulative, everyone, sampling, target_item, begin, end, key, counter)
                users = _count_others(laws, everyone, item, target_item, begin, end)
                provenance.level[out] = POPULARITY
            drawn.item[out], drawn.support[out] = item, users


@njit(nogil=True)
def _fill(
    laws: Laws,
    row: int,
    least: int,
    target_item: Codes,
    begin: int,
    end: int,
    lookup: Lookup,
    level: int,
    f: int,
    to: int,
    drawn: Draws,
    provenance: Provenance,
) -> Any:
    """Fill the places [f, to) with a row's items of the highest counts without a user; return the next empty place.

    Without the user, the counts of its items [begin, end) are lower by one, so a walk along these and one along the
    others merge into the result. Items with the last stamp are skipped, and the chosen ones get it.
    """
    stop, ranked, stamp, mark = laws.row_start[row + 1], laws.ranked, lookup.stamp, lookup.state[STAMP]
    a = b = laws.row_start[row]
    level_a = level_b = laws.level_start[row]
    while f < to:
        count_a, count_b = np.int32(0), np.int32(0)
        while a < stop and (stamp[ranked[a]] == mark or is_among(target_item, begin, end, ranked[a])):
            a += 1
        if a < stop:
            while laws.level_first[level_a + 1] <= a:
                level_a += 1
            count_a = laws.level_count[level_a]
        while b < stop:
            while laws.level_first[level_b + 1] <= b:
                level_b += 1
            count_b = laws.level_count[level_b] - np.int32(1)
            if count_b < count_a:  # no item from here on can precede that of the other walk
                break
            if stamp[ranked[b]] != mark and is_among(target_item, begin, end, ranked[b]):
                break
            b += 1
        if b == stop:
            count_b = np.int32(0)
        if max(count_a, count_b) < max(least, 1):
            break
        if count_b > count_a or (count_b == count_a and ranked[b] < ranked[a]):
            drawn.item[f], drawn.support[f] = ranked[b], count_b
            b += 1
        else:
            drawn.item[f], drawn.support[f] = ranked[a], count_a
            a += 1
        stamp[drawn.item[f]], provenance.level[f] = mark, level
        f += 1
    return f


@njit(cache=True, nogil=True, error_model="numpy")
def fill_top(
    laws: Laws,
    events: Events,
    rows: tuple[int, int],
    sampling: Sampling,
    lookup: Lookup,
    drawn: Draws,
    provenance: Provenance,
) -> None:
    """Fill the places that top items left empty: with items of the category, then with popular ones.

    Args:
        laws: Counts of categories and of all users.
        events: All source events.
        rows: First event and the end of the range.
        sampling: Draws and minimum support.
        lookup: Made for these target items.
        drawn: Top items along the paths; empty places are filled.
        provenance: Filled.
    """
    everyone, draws, least = laws.width.shape[0] - 1, sampling.draws, sampling.min_support
    for x in range(rows[0], rows[1]):
        row, is_in, begin, end = _locate(events, laws, x)
        f, to, n = (x - rows[0]) * draws, (x - rows[0] + 1) * draws, np.int64(0)
        lookup.state[STAMP] += 1
        if drawn.item[f] != NO_ITEM:
            n = np.int64(np.rint(np.float64(drawn.support[f]) / np.float64(drawn.confidence[f])))
        for out in range(f, to):
            provenance.n_paths[out], provenance.level[out] = n, ITEM
        while f < to and drawn.item[f] != NO_ITEM:
            lookup.stamp[drawn.item[f]] = lookup.state[STAMP]
            f += 1
        items = events.target_item
        if f < to and row != everyone:
            last = end if is_in else begin
            f = _fill(laws, row, least, items, begin, last, lookup, CATEGORY, f, to, drawn, provenance)
        if f < to:
            _fill(laws, everyone, least, items, begin, end, lookup, POPULARITY, f, to, drawn, provenance)


@njit(nogil=True)
def _spread(laws: Laws, row: int, lookups: int, lookup: Lookup) -> bool:
    """Return whether `spread` holds a row's counts; fill it with them if that is less work than `lookups` searches."""
    previous = lookup.state[ROW]
    if previous != row:
        begin, end = laws.row_start[row], laws.row_start[row + 1]
        if lookups * LONG < end - begin:
            return False
        if previous >= 0:
            for k in range(laws.row_start[previous], laws.row_start[previous + 1]):
                lookup.spread[laws.item[k]] = 0
        for k in range(begin, end):
            lookup.spread[laws.item[k]] = laws.users[k]
        lookup.state[ROW] = row
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def smooth_confidence(
    laws: Laws,
    events: Events,
    pseudo_paths: float,
    rows: tuple[int, int],
    draws: int,
    lookup: Lookup,
    item: Codes,
    n_paths: Int64,
    behind: Codes,
    confidence: Singles,
) -> None:
    """Fill `confidence` with the smoothed probability of each draw of the events [rows[0], rows[1]).

    Args:
        laws: Counts of categories and of all users.
        events: All source events.
        pseudo_paths: Smoothing count of the wider law, above 0.
        rows: First event and the end of the range.
        draws: Draws per event.
        lookup: Made for these target items.
        item: Shape ((rows[1] - rows[0]) * draws,), drawn items or `NO_ITEM`.
        n_paths: Same shape, paths of other users of the source item.
        behind: Same shape, other users with both the source item and the drawn item.
        confidence: Same shape, filled.
    """
    everyone, target_item, stamp = laws.width.shape[0] - 1, events.target_item, lookup.stamp
    is_spread, stop = False, rows[0]
    for x in range(rows[0], rows[1]):
        row, is_in, begin, end = _locate(events, laws, x)
        if x == stop:  # the first event of another source item
            while stop < rows[1] and events.item[stop] == events.item[x]:
                stop += 1
            is_spread = row != everyone and _spread(laws, row, (stop - x) * draws, lookup)
        is_marked = end - begin <= LONG * draws
        if is_marked:
            lookup.state[STAMP] += 1
            for y in range(begin, end):
                stamp[target_item[y]] = lookup.state[STAMP]
        mark = lookup.state[STAMP]
        n_category = laws.width[row] - (end - begin if is_in else 0)
        n_everyone = laws.width[everyone] - (end - begin)
        for out in range((x - rows[0]) * draws, (x - rows[0] + 1) * draws):
            i = item[out]
            if i == NO_ITEM:
                continue
            is_own = stamp[i] == mark if is_marked else place_of(target_item, begin, end, i) >= 0
            wider = np.float64(laws.popularity[i] - np.int32(is_own)) / n_everyone
            if row != everyone:
                count = lookup.spread[i] if is_spread else count_in(laws, row, i)
                users = np.float64(count - np.int32(is_own and is_in))
                wider = (users + pseudo_paths * wider) / (n_category + pseudo_paths)
            confidence[out] = np.float32((behind[out] + pseudo_paths * wider) / (n_paths[out] + pseudo_paths))
