"""Which items of a user testify when histories are capped: the latest ones, over a log that is seen part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from scalr.foundation import Codes, Int64, Mask
from scalr.logs import EventLog

HELD_INTERACTIONS = 1 << 24  # of capped users, looked at together; 0.5 GB
HISTORY_BOUND = 10_000  # items of one user that testify where no setting says fewer: nobody is a population


@dataclass(frozen=True, slots=True, eq=False)
class Cutoff:
    """The last of each user's `cap` latest items; an item counts from its latest event, ties go to the lower code.

    Attributes:
        time: Shape (n_users,), its time; the smallest int64 where the user has no more items than the cap.
        item: Shape (n_users,), its code.
    """

    time: Int64
    item: Codes

    def admits(self, log: EventLog) -> Mask:
        """Say for each positive event, shape (n,), whether its item testifies; interactions must be whole."""
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
        parts: Gives the log's positive events, those of one interaction in one part; called once per group of users.
        interactions_of_user: Shape (n_users,), distinct items of each user.
        cap: Items per user that testify.
    """
    n_users = len(interactions_of_user)
    time, item = np.full(n_users, np.iinfo(np.int64).min), np.full(n_users, -1, np.int32)
    for chosen in _user_groups(interactions_of_user, cap):
        found = [_Interactions(part.take(chosen[part.user])) for part in parts()]
        user = np.concatenate([one.user for one in found])
        times, items = np.concatenate([one.time for one in found]), np.concatenate([one.item for one in found])
        order = np.lexsort((items, -times, user))
        ranked = user[order]
        at_cap = np.arange(len(order)) - np.searchsorted(ranked, ranked) == cap - 1
        last = order[at_cap]
        time[user[last]], item[user[last]] = times[last], items[last]
    return Cutoff(time, item)


def _user_groups(interactions_of_user: Int64, cap: int) -> Iterator[Mask]:
    """Cut the users above the cap into groups of at most about `HELD_INTERACTIONS` interactions."""
    above = np.where(interactions_of_user > cap, interactions_of_user, 0)
    group = np.cumsum(above) // HELD_INTERACTIONS
    for number in np.unique(group[above > 0]):
        yield (group == number) & (above > 0)
