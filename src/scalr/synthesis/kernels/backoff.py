"""Replace draws of thin source items by draws from their category's law, and that by popularity; all leave-one-out.

With n paths of other users and m pseudo-paths, a law is kept with probability n / (n + m), else the next wider one is
drawn from: that draws from (n * law + m * wider law) / (n + m) without ever making that mixture.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation import U64, Codes, Floats, Int64, Mask, mix, unit
from scalr.synthesis.kernels.category_laws import Laws, count_in, is_member, place_of, weight_of
from scalr.synthesis.kernels.path_layout import NO_ITEM, is_among

REJECTIONS = 64  # proposals before the exact scan takes over; see `_draw`
COUNTERS = 2 * REJECTIONS + 1  # random numbers that one law may need
PER_DRAW = 2 + 2 * COUNTERS  # two to choose the law, the others for the category's and for popularity

ITEM, CATEGORY, POPULARITY = range(3)
"""What a draw came from."""

Origin = npt.NDArray[np.int8]


LONG = 8  # places filled in an array for one look-up: a binary search takes the time of about so many

# Places in `Lookup.state`.
ROW, STAMP = range(2)


class Lookup(NamedTuple):
    """Arrays by target item that one thread reuses from call to call."""

    state: Int64  # shape (2,): the row whose counts are spread, or -1, and the last stamp
    spread: Codes  # shape (n_target,): counts of that row
    stamp: Int64  # shape (n_target,): the last mark that each target item got


def make_lookup(n_target: int) -> Lookup:
    """Return arrays for so many target items."""
    return Lookup(np.array([-1, 0]), np.zeros(n_target, np.int32), np.zeros(n_target, np.int64))


class Events(NamedTuple):
    """Source events and the target items of their users."""

    user: Codes  # shape (n,)
    item: Codes  # shape (n,)
    testifies: Mask  # shape (n,), whether the user lends its target items to the item; or (0,) where all do
    target_start: Int64  # shape (n_users + 1,): where each user's target items start
    target_item: Codes  # distinct target items by user, ascending within a user


@njit(nogil=True)
def _stands(events: Events, laws: Laws, x: int) -> Any:
    """Return the row of an event's category, whether its user is in the group, and the user's target items."""
    u, row = events.user[x], laws.row_of_item[events.item[x]]
    testifies = events.testifies.shape[0] == 0 or events.testifies[x]
    return row, is_member(laws, row, u, testifies), events.target_start[u], events.target_start[u + 1]


@njit(nogil=True)
def _scan(
    laws: Laws, row: int, power: float, least: int, target_item: Codes, begin: int, end: int, share: float
) -> Any:
    """Draw from a row without the items [begin, end) of one of its users, in one walk along both."""
    drawn, total, left = np.int32(NO_ITEM), 0.0, 0.0
    for second in range(2):
        if second:
            left = share * total
        y = begin
        for k in range(laws.row_start[row], laws.row_start[row + 1]):
            while y < end and target_item[y] < laws.item[k]:
                y += 1
            count = laws.users[k] - np.int32(y < end and target_item[y] == laws.item[k])
            weight = weight_of(count, power, least)
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
    power: float,
    least: int,
    target_item: Codes,
    begin: int,
    end: int,
    key: Any,
    counter: Any,
) -> Any:
    """Draw from a row without the target items [begin, end) of one of its users.

    Weights with the user left in are never smaller, so a proposal from them that is accepted with the ratio of the two
    has the wanted law. After `REJECTIONS` proposals one scan draws from the same law exactly.
    """
    first, final = laws.level_start[row], laws.level_start[row + 1]
    total = cumulative[final - 1] if final > first else 0.0
    if total <= 0.0:
        return np.int32(NO_ITEM)
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
    return _scan(laws, row, power, least, target_item, begin, end, unit(key, counter + U64(2 * REJECTIONS)))


@njit(nogil=True)
def _count_others(laws: Laws, row: int, item: int, target_item: Codes, begin: int, end: int) -> Any:
    """Return how many users of a row's group have an item, without the user whose target items are [begin, end)."""
    if item == NO_ITEM:
        return np.int32(0)
    return count_in(laws, row, item) - np.int32(begin < end and is_among(target_item, begin, end, item))


@njit(cache=True, nogil=True, error_model="numpy")
def back_off(
    laws: Laws,
    cumulative: Floats,
    events: Events,
    pseudo_paths: float,
    power: float,
    least: int,
    rows: tuple[int, int],
    draws: int,
    stream: np.uint64,
    event_key: npt.NDArray[np.uint64],
    item: Codes,
    confidence: npt.NDArray[np.float32],
    support: Codes,
    origin: Origin,
    paths: Int64,
) -> None:
    """Replace draws of events [rows[0], rows[1]) by draws from wider laws.

    Args:
        laws: Counts of categories and of everyone.
        cumulative: What `sum_levels` returns for these laws, `power` and `least`.
        events: All source events.
        pseudo_paths: What a wider law gets, above 0.
        power: 1 / temperature.
        least: Least number of other users behind what is drawn.
        rows: First and last + 1 event.
        draws: Draws per event.
        stream: Key of seed and purpose.
        event_key: Shape (rows[1] - rows[0],), stable keys of these events.
        item: Shape (at least (rows[1] - rows[0]) * draws,), what was drawn from the items' paths, or `NO_ITEM`.
        confidence: Same shape, P(item | source item).
        support: Same shape, users behind each draw; changed with `item`.
        origin: Same shape, filled with what each draw comes from.
        paths: Same shape, filled with the paths of others that the source item has; 0 where nothing was drawn.
    """
    everyone, target_item = laws.width.shape[0] - 1, events.target_item
    for x in range(rows[0], rows[1]):
        row, is_in, begin, end = _stands(events, laws, x)
        own_end = end if is_in else begin
        n_category = 0 if row == everyone else laws.width[row] - (own_end - begin)
        key = mix(event_key[x - rows[0]] ^ stream)
        for d in range(draws):
            out = (x - rows[0]) * draws + d
            n, counter = np.int64(0), U64(d) * U64(PER_DRAW)
            if item[out] != NO_ITEM:
                n = np.int64(np.rint(np.float64(support[out]) / np.float64(confidence[out])))
            paths[out], origin[out] = n, ITEM
            if n > 0 and unit(key, counter) * (n + pseudo_paths) >= pseudo_paths:
                continue
            found, users = np.int32(NO_ITEM), np.int32(0)
            if n_category > 0 and unit(key, counter + U64(1)) * (n_category + pseudo_paths) >= pseudo_paths:
                found = _draw(laws, cumulative, row, power, least, target_item, begin, own_end, key, counter + U64(2))
                users = _count_others(laws, row, found, target_item, begin, own_end)
                origin[out] = CATEGORY
            if found == NO_ITEM:
                found = _draw(
                    laws, cumulative, everyone, power, least, target_item, begin, end, key, counter + U64(2 + COUNTERS)
                )
                users = _count_others(laws, everyone, found, target_item, begin, end)
                origin[out] = POPULARITY
            item[out], support[out] = found, users


@njit(nogil=True)
def _fill(
    laws: Laws,
    row: int,
    least: int,
    target_item: Codes,
    begin: int,
    end: int,
    stamp: Int64,
    mark: int,
    chosen: int,
    f: int,
    to: int,
    item: Codes,
    support: Codes,
    origin: Origin,
) -> Any:
    """Fill places [f, to) with a row's items of the highest counts without a user; returns the next empty place.

    Leaving the user out lowers the counts of its items [begin, end) by one, so a walk along these and one along the
    others merge into the answer. Items that bear the stamp `mark` are passed over, and those taken get it.
    """
    stop, ranked = laws.row_start[row + 1], laws.ranked
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
            if count_b < count_a:  # no item from here on can come before that of the other walk
                break
            if stamp[ranked[b]] != mark and is_among(target_item, begin, end, ranked[b]):
                break
            b += 1
        if b == stop:
            count_b = np.int32(0)
        if max(count_a, count_b) < max(least, 1):
            break
        if count_b > count_a or (count_b == count_a and ranked[b] < ranked[a]):
            item[f], support[f] = ranked[b], count_b
            b += 1
        else:
            item[f], support[f] = ranked[a], count_a
            a += 1
        stamp[item[f]], origin[f] = mark, chosen
        f += 1
    return f


@njit(cache=True, nogil=True, error_model="numpy")
def fill_top(
    laws: Laws,
    events: Events,
    least: int,
    rows: tuple[int, int],
    draws: int,
    lookup: Lookup,
    item: Codes,
    confidence: npt.NDArray[np.float32],
    support: Codes,
    origin: Origin,
    paths: Int64,
) -> None:
    """Fill what top items left empty for events [rows[0], rows[1]): with the category's items, then with popular ones.

    Arguments are those of `back_off`, and:

    Args:
        lookup: Made for these target items.
    """
    everyone = laws.width.shape[0] - 1
    for x in range(rows[0], rows[1]):
        row, is_in, begin, end = _stands(events, laws, x)
        f, to, n = (x - rows[0]) * draws, (x - rows[0] + 1) * draws, np.int64(0)
        lookup.state[STAMP] += 1
        stamp, mark = lookup.stamp, lookup.state[STAMP]
        if item[f] != NO_ITEM:
            n = np.int64(np.rint(np.float64(support[f]) / np.float64(confidence[f])))
        for out in range(f, to):
            paths[out], origin[out] = n, ITEM
        while f < to and item[f] != NO_ITEM:
            stamp[item[f]] = mark
            f += 1
        if f < to and row != everyone:
            f = _fill(
                laws, row, least, events.target_item, begin, end if is_in else begin, stamp, mark, CATEGORY, f, to,
                item, support, origin,
            )  # fmt: skip
        if f < to:
            _fill(
                laws, everyone, least, events.target_item, begin, end, stamp, mark, POPULARITY, f, to,
                item, support, origin,
            )  # fmt: skip


@njit(nogil=True)
def _spread(laws: Laws, row: int, lookups: int, lookup: Lookup) -> bool:
    """Say whether a row's counts are spread; spread them instead of another row's where that is less work."""
    held = lookup.state[ROW]
    if held != row:
        begin, end = laws.row_start[row], laws.row_start[row + 1]
        if lookups * LONG < end - begin:
            return False
        if held >= 0:
            for k in range(laws.row_start[held], laws.row_start[held + 1]):
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
    paths: Int64,
    behind: Codes,
    confidence: npt.NDArray[np.float32],
) -> None:
    """Fill `confidence` with the smoothed probability of each draw of events [rows[0], rows[1]).

    Arguments are those of `back_off`, and:

    Args:
        lookup: Made for these target items.
        behind: Shape of `item`, other users behind (source item, item) of each draw.
    """
    everyone, target_item, stamp = laws.width.shape[0] - 1, events.target_item, lookup.stamp
    is_spread, stop = False, rows[0]
    for x in range(rows[0], rows[1]):
        row, is_in, begin, end = _stands(events, laws, x)
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
            confidence[out] = np.float32((behind[out] + pseudo_paths * wider) / (paths[out] + pseudo_paths))
