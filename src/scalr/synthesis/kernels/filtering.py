"""From draws to rows: leave out what was not drawn, is real already or has too little support, and gather the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation import Codes, Int64, prefetch

_AHEAD = 12  # events between asking for a user's target items and looking at them
_SHORT = 8  # target items that are looked through rather than bisected


@njit(inline="always")
def _holds(items: Any, low: Any, end: Any, item: Any) -> Any:
    """Say whether `item` is in items[low:end], which ascend; few are compared without a branch that could surprise."""
    if end - low <= _SHORT:
        found = False
        for y in range(low, end):
            found |= items[y] == item
        return found
    high = end
    while low < high:
        middle = (low + high) // 2
        if items[middle] < item:
            low = middle + 1
        else:
            high = middle
    return low < end and items[low] == item


@njit(cache=True, nogil=True)
def keep_draws(
    first: int,
    draws: int,
    user: Codes,
    drawn: Codes,
    drawn_confidence: npt.NDArray[np.float32],
    drawn_support: Codes,
    log_start: Int64,
    log_item: Codes,
    min_support: int,
    at: int,
    event: Codes,
    draw: Codes,
    item: Codes,
    confidence: npt.NDArray[np.float32],
    support: Codes,
) -> tuple[int, int, int]:
    """Append the draws that are kept to the arrays of rows, which begin at place `at`.

    Args:
        first: The first event that was drawn for.
        draws: Draws per event.
        user: Users of all events of the part.
        drawn: Shape (n_events * draws,), items, negative where nothing was drawn.
        drawn_confidence: Same shape.
        drawn_support: Same shape.
        log_start: Shape (n_users + 1,), where each user's events start in the real target log.
        log_item: Items of that log by user, ascending within a user.
        min_support: Least support that is kept.
        at: Where to append.
        event: Filled with the number of the event in its part; likewise all further arguments.
        draw: Number of the draw.
        item: Drawn item.
        confidence: Its confidence.
        support: Its support.

    Returns:
        How many items were drawn, how many of these pairs are not real, and where the rows end.
    """
    n_drawn, n_new, n_events = 0, 0, drawn.shape[0] // draws
    for x in range(n_events):
        if x + _AHEAD < n_events:
            prefetch(log_start, np.int64(user[first + x + _AHEAD]))
        if x + _AHEAD // 2 < n_events:
            prefetch(log_item, log_start[user[first + x + _AHEAD // 2]])
        u = user[first + x]
        low, end = log_start[u], log_start[u + 1]
        for d in range(draws):
            z = x * draws + d
            i = drawn[z]
            if i < 0:
                continue
            n_drawn += 1
            if low < end and _holds(log_item, low, end, i):
                continue
            n_new += 1
            if drawn_support[z] < min_support:
                continue
            event[at], draw[at], item[at] = first + x, d, i
            confidence[at], support[at] = drawn_confidence[z], drawn_support[z]
            at += 1
    return n_drawn, n_new, at


@njit(cache=True, nogil=True)
def set_bits(bits: npt.NDArray[np.uint8], places: Int64) -> None:
    """Set the bits at `places`."""
    for x in range(places.shape[0]):
        bits[places[x] >> 3] |= np.uint8(1) << np.uint8(places[x] & 7)


@njit(cache=True, nogil=True)
def have_bits(bits: npt.NDArray[np.uint8], places: Int64) -> npt.NDArray[np.bool_]:
    """Say for each of `places`, shape (n,), whether its bit is set."""
    out = np.empty(places.shape[0], np.bool_)
    for x in range(places.shape[0]):
        out[x] = (bits[places[x] >> 3] >> np.uint8(places[x] & 7)) & np.uint8(1)
    return out


@njit(cache=True, nogil=True)
def localise(codes: Codes, place: Codes, distinct: Codes, index: Codes) -> int:
    """Number the codes that occur in a chunk by their first occurrence.

    Args:
        codes: Shape (n,).
        place: Shape (n_codes,), all -1; so again afterwards.
        distinct: Shape (at least n,), filled with the codes that occur.
        index: Shape (n,), filled with each code's place in `distinct`.

    Returns:
        How many occur.
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
    confidence: npt.NDArray[np.float32],
    support: Codes,
    per_share: npt.NDArray[np.float64],
    least_support: int,
    least: float,
    counts: Int64,
    found: Int64,
) -> int:
    """Add the items of rows to `counts`, and find the rows that may be among the best.

    Args:
        item: Shape (n,).
        confidence: Shape (n,).
        support: Shape (n,).
        per_share: By item, what its confidence is multiplied with.
        least_support: Support that a row must have to be found.
        least: What confidence · per_share must be.
        counts: By item; added to.
        found: Shape (n,), filled with the rows that are found.

    Returns:
        How many were found.
    """
    n = 0
    for x in range(item.shape[0]):
        i = item[x]
        counts[i] += 1
        if support[x] >= least_support and confidence[x] * per_share[i] >= least:
            found[n] = x
            n += 1
    return n
