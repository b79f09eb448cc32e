"""Stable keys of events: hashes of user, item and time, with a counter for exact repeats."""

from __future__ import annotations

import numpy as np
from numba import njit

from scalr.foundation.arrays import Codes, Keys, Mask, Times
from scalr.foundation.kernels.hashing import U64, combine


@njit(cache=True, nogil=True)
def event_keys(
    user: Codes,
    item: Codes,
    time: Times,
    positive: Mask,
    user_keys: Keys,
    item_keys: Keys,
    first: int,
    last: int,
) -> Keys:
    """Return the keys of events [first, last): hashes of user key, item key, time and a counter of exact repeats.

    Positives and other events are counted separately, so that events with label 0 do not change keys of positives.

    Args:
        user: Shape (n,), codes; events with equal (user, item, time) are adjacent.
        item: Shape (n,), codes.
        time: Shape (n,), or (0,) if events have no time.
        positive: Shape (n,), sorted among equal events; (0,) if all events are positive.
        user_keys: Keys by user code.
        item_keys: Keys by item code.
        first: First event.
        last: End of the events.

    Returns:
        Shape (last - first,).
    """
    timed, labelled = time.shape[0] > 0, positive.shape[0] > 0
    keys = np.empty(last - first, np.uint64)
    begin = first  # equal events before `first` count too
    while begin > 0 and user[begin] == user[begin - 1] and item[begin] == item[begin - 1]:
        begin -= 1
    repeat = 0
    for x in range(begin, last):
        same = x > begin and user[x] == user[x - 1] and item[x] == item[x - 1]
        same = same and (not labelled or positive[x] == positive[x - 1])
        repeat = repeat + 1 if same and (not timed or time[x] == time[x - 1]) else 0
        if x < first:
            continue
        key = combine(user_keys[user[x]], item_keys[item[x]])
        if timed:
            key = combine(key, U64(time[x]))
        keys[x - first] = combine(key, U64(repeat)) if not labelled or positive[x] else ~combine(key, U64(repeat))
    return keys
