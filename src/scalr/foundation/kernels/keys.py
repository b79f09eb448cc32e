"""Stable keys of events: hashes of what an event is, with a number for exact repeats."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation.arrays import Keys
from scalr.foundation.kernels.hashing import U64, combine


@njit(cache=True, nogil=True)
def event_keys(
    user: npt.NDArray[np.int32],
    item: npt.NDArray[np.int32],
    time: npt.NDArray[np.int64],
    positive: npt.NDArray[np.bool_],
    user_keys: Keys,
    item_keys: Keys,
    first: int,
    last: int,
) -> Keys:
    """Hash each event's user key, item key, time and number among positives, or others, equal in all three.

    Events with label 0 are numbered apart, so that they do not change the keys of positives.

    Args:
        user: Shape (n,), codes; events with equal (user, item, time) stand together.
        item: Shape (n,), codes.
        time: Shape (n,), or (0,) where events have no time.
        positive: Shape (n,); equal events with the same value stand together. (0,) where all are positive.
        user_keys: Keys by user code.
        item_keys: Keys by item code.
        first: First event whose key is asked for.
        last: Its end.

    Returns:
        Shape (last - first,).
    """
    timed, labelled = time.shape[0] > 0, positive.shape[0] > 0
    keys = np.empty(last - first, np.uint64)
    begin = first  # earlier events that are equal count too
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
