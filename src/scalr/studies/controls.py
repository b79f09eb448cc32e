"""Controls: synthetic events that must not help as much, since the knowledge that SCALR claims was removed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from scalr.foundation import Codes, rng
from scalr.logs import EventLog, catalogue_of
from scalr.synthesis import SyntheticEvents


def random_items(events: SyntheticEvents, seed: int) -> SyntheticEvents:
    """Give every event an item drawn uniformly from the catalogue; what remains is more rows for the same users."""
    catalogue = catalogue_of(events.pair.target)
    place = (_numbers(events, seed, 0) * len(catalogue)).astype(np.int64)
    return replace(events, item=catalogue[place])


def popular_items(events: SyntheticEvents, seed: int) -> SyntheticEvents:
    """Give every event an item drawn by real popularity; what remains is the popularity of items."""
    target = events.pair.target.positives()
    place = (_numbers(events, seed, 1) * len(target)).astype(np.int64)
    return replace(events, item=target.item[place])


def shuffled_users(events: SyntheticEvents, seed: int) -> SyntheticEvents:
    """Give every user the events of another user: the same items, weights and volumes, but nothing about the user.

    The permutation runs over the users that have synthetic events, in the order of a hash of their keys.
    """
    users = np.unique(events.user)
    numbers = rng.keyed_units(seed, rng.Purpose.CONTROL, events.pair.target.users.keys[users])
    order = np.argsort(numbers, kind="stable")
    receiver = np.arange(len(events.pair.target.users), dtype=np.int32)
    receiver[users[order]] = np.roll(users[order], 1)
    return replace(events, user=receiver[events.user])


def oversampled_real(target: EventLog, rows: int, seed: int) -> tuple[Codes, Codes, npt.NDArray[np.float32]]:
    """Return users, items and weights of `rows` real events, drawn with replacement; what remains is more training.

    Repeats of an event are one row with their total weight, as for synthetic events.
    """
    real = target.positives()
    keys = np.arange(rows, dtype=np.uint64)
    place = (rng.keyed_units(seed, rng.Purpose.CONTROL, keys) * len(real)).astype(np.int64)
    times = np.bincount(place, minlength=len(real))
    place = np.flatnonzero(times)
    weight = times[place] if real.weight is None else times[place] * real.weight[place]
    return real.user[place], real.item[place], weight.astype(np.float32)


def _numbers(events: SyntheticEvents, seed: int, which: int) -> npt.NDArray[np.float64]:
    keys = events.keys()
    return rng.keyed_units(seed, rng.Purpose.CONTROL, keys, np.full(len(keys), which, np.uint64))
