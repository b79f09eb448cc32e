"""Random numbers as hashes of seed, purpose and key. They do not depend on row order or threads."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from scalr.foundation.arrays import Keys
from scalr.foundation.kernels import hashing

_MASK = (1 << 64) - 1


class Purpose(IntEnum):
    """What a random number decides. Numbers for different purposes are independent."""

    DRAW = 1
    HIDE_USER = 2
    HOLD_OUT = 3
    ALIGN = 4
    THIN = 5
    FIRST_PARAMETERS = 6
    TRAIN_ORDER = 7
    TRAIN_NEGATIVES = 8
    TEST_NEGATIVES = 9
    CONTROL = 10
    CAP = 11
    BOOTSTRAP = 12
    SIMULATE = 13
    AFFINITY = 14
    CHOOSE = 15
    GATE = 16
    BACKOFF = 17
    UNIFORM = 18
    JUDGED_USERS = 19
    RIVAL = 20
    LINK = 21
    MIX = 30
    FEATURE_FOLDS = 31
    LABELLED = 32
    LEAK_SAMPLE = 33
    LEAK_FOLDS = 34
    CALIBRATE = 35
    SYNTHETIC_NEGATIVES = 26
    TESTIFY = 36
    STUDY_USERS = 37
    FIT_USERS = 38


def stream(seed: int, purpose: Purpose) -> np.uint64:
    """Return the 64-bit key that all random numbers of a seed and purpose are derived from."""
    both = np.array([seed & _MASK, int(purpose)], np.uint64)
    return np.uint64(hashing.combine_keys(both[:1], both[1:])[0])


def keyed_units(seed: int, purpose: Purpose, keys: Keys, *more: Keys) -> npt.NDArray[np.float64]:
    """Return one uniform number in [0, 1) per key, shape (n,).

    Args:
        seed: The user's seed, any integer.
        purpose: What the numbers decide.
        keys: Shape (n,), key of the event, user or item that each number belongs to.
        more: Further keys, shape (n,) each, that are combined with `keys`.
    """
    mixed = hashing.combine_keys(np.broadcast_to(stream(seed, purpose), keys.shape).copy(), keys)
    for other in more:
        mixed = hashing.combine_keys(mixed, other)
    return hashing.units(mixed, 0)
