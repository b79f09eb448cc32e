"""Membership of (user, item) pairs in a log in canonical order."""

from __future__ import annotations

import numpy as np
from numba import njit

from scalr.foundation.arrays import Codes, Int64, Mask


@njit(cache=True, nogil=True)
def pairs_in_log(user: Codes, item: Codes, log_start: Int64, log_item: Codes) -> Mask:
    """Return for each pair, shape (n,), whether it occurs in the log.

    Args:
        user: Shape (n,), codes.
        item: Shape (n,), codes.
        log_start: Shape (n_users + 1,), offset of each user's first event in the log.
        log_item: Items of the log by user, ascending within a user.
    """
    is_in_log = np.empty(user.shape[0], np.bool_)
    for x in range(user.shape[0]):
        low, high = log_start[user[x]], log_start[user[x] + 1]
        end = high
        while low < high:
            middle = (low + high) // 2
            if log_item[middle] < item[x]:
                low = middle + 1
            else:
                high = middle
        is_in_log[x] = low < end and log_item[low] == item[x]
    return is_in_log
