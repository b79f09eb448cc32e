"""Resampling of users with counter-based Poisson weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation import U64, combine, unit


@njit(cache=True, nogil=True)
def resampled_ratios(
    above: npt.NDArray[np.float64],
    below: npt.NDArray[np.float64],
    keys: npt.NDArray[np.uint64],
    stream: Any,
    resamples: int,
) -> npt.NDArray[np.float64]:
    """Return sum(w * above) / sum(w * below) for many draws of Poisson(1) weights w, shape (resamples,).

    Args:
        above: Shape (n,), one number per user.
        below: Shape (n,), likewise.
        keys: Shape (n,), keys of the users; a weight is a hash of (stream, key, number of the resample).
        stream: Key of the whole bootstrap.
        resamples: Draws.
    """
    out = np.empty(resamples)
    totals = np.zeros((2, resamples))
    for x in range(keys.shape[0]):
        key = combine(stream, keys[x])
        for r in range(resamples):
            left, chance, times = unit(key, U64(r)), np.exp(-1.0), 0
            while left >= chance and times < 20:  # P(more than 20) is below 1e-19
                left -= chance
                times += 1
                chance /= times
            totals[0, r] += times * above[x]
            totals[1, r] += times * below[x]
    for r in range(resamples):
        out[r] = totals[0, r] / totals[1, r] if totals[1, r] != 0.0 else np.nan
    return out
