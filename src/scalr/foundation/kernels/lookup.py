"""Find (user, item) pairs among the pairs of a log that stands in canonical order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation.arrays import Codes


@njit(cache=True, nogil=True)
def stand_in_log(user: Codes, item: Codes, log_start: npt.NDArray[np.int64], log_item: Codes) -> npt.NDArray[np.bool_]:
    """Say for each pair, shape (n,), whether it is one of the log's.

    Args:
        user: Shape (n,), codes.
        item: Shape (n,), codes.
        log_start: Shape (n_users + 1,), where each user's events start in the log.
        log_item: Items of the log by user, ascending within a user.
    """
    found = np.empty(user.shape[0], np.bool_)
    for x in range(user.shape[0]):
        low, high = log_start[user[x]], log_start[user[x] + 1]
        end = high
        while low < high:
            middle = (low + high) // 2
            if log_item[middle] < item[x]:
                low = middle + 1
            else:
                high = middle
        found[x] = low < end and log_item[low] == item[x]
    return found
