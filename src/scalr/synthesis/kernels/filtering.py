"""From draws to rows: filter empty draws, pairs of the real log and draws with too little support."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation import Codes, Int64, Singles, prefetch
from scalr.synthesis.kernels.path_layout import Draws

_AHEAD = 12  # events between the prefetch of a user's target items and their use
_SHORT = 8  # up to this many target items, a linear scan is faster than bisection


@njit(inline="always")
def _holds(items: Any, low: Any, end: Any, item: Any) -> Any:
    """Return whether `item` is in items[low:end], which ascend; short ranges are compared without branches."""
    if end - low <= _SHORT:
        is_there = False
        for y in range(low, end):
            is_there |= items[y] == item
        return is_there
    high = end
    while low < high:
        middle = (low + high) // 2
        if items[middle] < item:
            low = middle + 1
        else:
            high = middle
    return low < end and items[low] == item


class RowArrays(NamedTuple):
    """Columns of rows with room for more."""

    event: Codes  # number of the event in its part
    draw: Codes  # number of the draw
    item: Codes  # drawn item
    confidence: Singles
    support: Codes


@njit(cache=True, nogil=True)
def keep_draws(
    first: int,
    draws: int,
    user: Codes,
    drawn: Draws,
    log_start: Int64,
    log_item: Codes,
    min_support: int,
    at: int,
    rows: RowArrays,
) -> tuple[int, int, int]:
    """Append the draws that are new pairs with enough support to rows, from place `at` on.

    Args:
        first: The first event of the draws.
        draws: Draws per event.
        user: Users of all events of the part.
        drawn: The draws; negative items where nothing was drawn.
        log_start: Shape (n_users + 1,), start of each user's events in the real target log.
        log_item: Items of that log by user, ascending within a user.
        min_support: Least support of a row.
        at: Where to append.
        rows: Filled from `at` on.

    Returns:
        The number of drawn items, the number of those whose pair is not in the log, and the end of the rows.
    """
    n_drawn, n_new, n_events = 0, 0, drawn.item.shape[0] // draws
    for x in range(n_events):
        if x + _AHEAD < n_events:
            prefetch(log_start, np.int64(user[first + x + _AHEAD]))
        if x + _AHEAD // 2 < n_events:
            prefetch(log_item, log_start[user[first + x + _AHEAD // 2]])
        u = user[first + x]
        low, end = log_start[u], log_start[u + 1]
        for d in range(draws):
            z = x * draws + d
            i = drawn.item[z]
            if i < 0:
                continue
            n_drawn += 1
            if low < end and _holds(log_item, low, end, i):
                continue
            n_new += 1
            if drawn.support[z] < min_support:
                continue
            rows.event[at], rows.draw[at], rows.item[at] = first + x, d, i
            rows.confidence[at], rows.support[at] = drawn.confidence[z], drawn.support[z]
            at += 1
    return n_drawn, n_new, at


@njit(cache=True, nogil=True)
def set_bits(bits: npt.NDArray[np.uint8], places: Int64) -> None:
    """Set the bits at `places`."""
    for x in range(places.shape[0]):
        bits[places[x] >> 3] |= np.uint8(1) << np.uint8(places[x] & 7)


@njit(cache=True, nogil=True)
def have_bits(bits: npt.NDArray[np.uint8], places: Int64) -> npt.NDArray[np.bool_]:
    """Return for each of `places`, shape (n,), whether its bit is set."""
    out = np.empty(places.shape[0], np.bool_)
    for x in range(places.shape[0]):
        out[x] = (bits[places[x] >> 3] >> np.uint8(places[x] & 7)) & np.uint8(1)
    return out


@njit(cache=True, nogil=True)
def localise(codes: Codes, place: Codes, distinct: Codes, index: Codes) -> int:
    """Number the codes that occur in a chunk by their first occurrence.

    Args:
        codes: Shape (n,).
        place: Shape (n_codes,), all -1 before and after the call.
        distinct: Shape (at least n,), filled with the codes that occur.
        index: Shape (n,), filled with each code's place in `distinct`.

    Returns:
        The number of distinct codes.
    """
    n, previous, last = 0, np.int32(-1), np.int32(-1)
    for x in range(codes.shape[0]):
        code = codes[x]
        if code != previous:
            previous, last = code, place[code]
            if last < 0:
                last = np.int32(n)
                place[code], distinct[n] = last, code
                n += 1
        index[x] = last
    for k in range(n):
        place[distinct[k]] = -1
    return n


@njit(cache=True, nogil=True)
def count_items(
    item: Codes,
    confidence: Singles,
    support: Codes,
    per_share: npt.NDArray[np.float64],
    least_support: int,
    least: float,
    counts: Int64,
    candidates: Int64,
) -> int:
    """Add the items of rows to `counts`, and collect the rows that may be among the best.

    Args:
        item: Shape (n,).
        confidence: Shape (n,).
        support: Shape (n,).
        per_share: By item, factor of its confidence.
        least_support: Least support of a candidate row.
        least: Least confidence · per_share of a candidate row.
        counts: By item; added to.
        candidates: Shape (n,), filled with the candidate rows.

    Returns:
        The number of candidate rows.
    """
    n = 0
    for x in range(item.shape[0]):
        i = item[x]
        counts[i] += 1
        if support[x] >= least_support and confidence[x] * per_share[i] >= least:
            candidates[n] = x
            n += 1
    return n
