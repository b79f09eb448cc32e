"""Queried pairs of user and target item, laid out by user, whose probability is computed together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from scalr.foundation import Codes, Floats, Int64
from scalr.logs import EventLog, StoredPair

ROWS_AT_ONCE = 1 << 21  # rows of (source event, queried item) per block; about 64 MB


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """Pairs of user and item, by user.

    Attributes:
        users: Shape (m,), distinct users, ascending.
        start: Shape (m + 1,), start of each user's items.
        item: Shape (n,), the items.
        order: Shape (n,), original place of each pair.
        row_of_user: Shape (n_users,), places in `users`; -1 for others.
    """

    users: Codes
    start: Int64
    item: Codes
    order: Int64
    row_of_user: Codes

    @classmethod
    def from_pairs(cls, user: Codes, item: Codes, n_users: int) -> Queries:
        """Lay out pairs, shape (n,) each; repeated pairs are allowed."""
        order = np.argsort(user, kind="stable")
        users, counts = np.unique(user, return_counts=True)
        row_of_user = np.full(n_users, -1, np.int32)
        row_of_user[users] = np.arange(len(users), dtype=np.int32)
        start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(users.astype(np.int32), start, item[order].astype(np.int32), order, row_of_user)

    def means(self, total: Floats, events_of_user: Int64) -> Floats:
        """Divide sums by each user's source events; return them in the original order, 0 for users without events.

        Args:
            total: Shape (n,), sums over source events, by user.
            events_of_user: Shape (n_users,), positive source events.
        """
        events = np.repeat(events_of_user[self.users], np.diff(self.start))
        means = np.empty(len(total))
        means[self.order] = total / np.maximum(events, 1)
        return means

    def add_events(self, log: EventLog, probability: Callable[[Int64, Codes], Floats], total: Floats) -> None:
        """For each event of a log, add P(item | source item) of every queried item of its user to `total`.

        Args:
            log: Events.
            probability: Maps events, ascending, and items, shape (r,) each, to probabilities, shape (r,).
            total: Shape (n,), sums by user; added to.
        """
        counts = np.diff(self.start)
        events = np.flatnonzero(self.row_of_user[log.user] >= 0)
        ends = np.cumsum(counts[self.row_of_user[log.user[events]]])
        for block in _blocks(events, ends):
            row = self.row_of_user[log.user[block]]
            n = counts[row]
            place = np.arange(n.sum()) + np.repeat(self.start[row] - (np.cumsum(n) - n), n)
            values = probability(np.repeat(block, n), self.item[place])
            total += np.bincount(place, values, len(total))


def _blocks(events: Int64, ends: Int64) -> Iterator[Int64]:
    """Cut events into ranges of about `ROWS_AT_ONCE` rows."""
    first = 0
    while first < len(events):
        before = int(ends[first - 1]) if first else 0
        last = max(int(np.searchsorted(ends, before + ROWS_AT_ONCE, side="right")), first + 1)
        yield events[first:last]
        first = last


def source_events(stored: StoredPair) -> Int64:
    """Return, shape (n_users,), the number of positive source events of each user."""
    n_users = len(stored.target.users)
    count = partial(np.bincount, minlength=n_users)
    return sum((count(part.positives().user) for part in stored.source.parts()), np.zeros(n_users, np.int64))
