"""Caps on histories: only the latest items of a user contribute, in a log that is read part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from scalr.foundation import Codes, Int64, Mask
from scalr.logs import EventLog

HELD_INTERACTIONS = 1 << 24  # of capped users, per group; 0.5 GB
HISTORY_BOUND = 10_000  # default cap, which bounds the influence of one user


@dataclass(frozen=True, slots=True, eq=False)
class Cutoff:
    """The earliest of each user's `cap` latest items, by the latest event of an item, ties by the lower code.

    Attributes:
        time: Shape (n_users,), its time; the smallest int64 if the user has at most `cap` items.
        item: Shape (n_users,), its code.
    """

    time: Int64
    item: Codes

    def admits(self, log: EventLog) -> Mask:
        """Return for each positive event, shape (n,), whether its item contributes.

        All events of an interaction must be in the log.
        """
        interaction = _Interactions(log)
        user = interaction.user
        is_later = interaction.time > self.time[user]
        is_last = (interaction.time == self.time[user]) & (interaction.item <= self.item[user])
        admitted: Mask = (is_later | is_last)[interaction.of_event]
        return admitted


class _Interactions:
    """Distinct (user, item) of a log in canonical order, with the time of their latest event."""

    def __init__(self, log: EventLog) -> None:
        new = log.starts_interaction()
        first = np.flatnonzero(new)
        last = np.append(first[1:], len(log)) - 1
        self.user, self.item = log.user[first], log.item[first]
        self.time: Int64 = np.zeros(len(first), np.int64) if log.time is None else log.time[last]
        self.of_event: Int64 = np.cumsum(new) - 1


def cutoff_of(parts: Callable[[], Iterable[EventLog]], interactions_of_user: Int64, cap: int) -> Cutoff:
    """Find the cutoff of every user of a log.

    Args:
        parts: Returns the log's positive events, those of an interaction in one part; called once per group of users.
        interactions_of_user: Shape (n_users,), distinct items of each user.
        cap: Number of items per user that contribute.
    """
    n_users = len(interactions_of_user)
    time, item = np.full(n_users, np.iinfo(np.int64).min), np.full(n_users, -1, np.int32)
    for group in _user_groups(interactions_of_user, cap):
        interactions = [_Interactions(part.take(group[part.user])) for part in parts()]
        user = np.concatenate([part.user for part in interactions])
        times = np.concatenate([part.time for part in interactions])
        items = np.concatenate([part.item for part in interactions])
        order = np.lexsort((items, -times, user))
        ranked = user[order]
        at_cap = np.arange(len(order)) - np.searchsorted(ranked, ranked) == cap - 1
        last = order[at_cap]
        time[user[last]], item[user[last]] = times[last], items[last]
    return Cutoff(time, item)


def _user_groups(interactions_of_user: Int64, cap: int) -> Iterator[Mask]:
    """Cut the users above the cap into groups of about `HELD_INTERACTIONS` interactions."""
    above = np.where(interactions_of_user > cap, interactions_of_user, 0)
    group = np.cumsum(above) // HELD_INTERACTIONS
    for number in np.unique(group[above > 0]):
        yield (group == number) & (above > 0)
