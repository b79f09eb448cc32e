"""Stable keys of events: hashes of what an event is, with a number for exact repeats."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.kernels.hashing import U64, combine

Keys = npt.NDArray[np.uint64]


@njit(cache=True, nogil=True)
def event_keys(
    user: npt.NDArray[np.int32],
    item: npt.NDArray[np.int32],
    time: npt.NDArray[np.int64],
    positive: npt.NDArray[np.bool_],
    user_keys: Keys,
    item_keys: Keys,
) -> Keys:
    """Hash each event's user key, item key, time and number among positives, or others, equal in all three.

    Events with label 0 are numbered apart, so that they do not change the keys of positives.

    Args:
        user: Shape (n,), codes; events with equal (user, item, time) stand together.
        item: Shape (n,), codes.
        time: Shape (n,), or (0,) where events have no time.
        positive: Shape (n,); equal events with the same value stand together.
        user_keys: Keys by user code.
        item_keys: Keys by item code.

    Returns:
        Shape (n,).
    """
    n = user.shape[0]
    timed = time.shape[0] == n
    keys = np.empty(n, np.uint64)
    repeat = 0
    for x in range(n):
        same = x > 0 and user[x] == user[x - 1] and item[x] == item[x - 1] and positive[x] == positive[x - 1]
        repeat = repeat + 1 if same and (not timed or time[x] == time[x - 1]) else 0
        key = combine(user_keys[user[x]], item_keys[item[x]])
        if timed:
            key = combine(key, U64(time[x]))
        keys[x] = combine(key, U64(repeat)) if positive[x] else ~combine(key, U64(repeat))
    return keys
