"""Pairs of user and target item whose probability is asked for, laid out by user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from scalr.foundation import Codes, Floats, Int64
from scalr.logs import EventLog, StoredPair

ROWS_AT_ONCE = 1 << 21  # of (source event, item asked for), looked up together; about 64 MB


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Pairs by user.

    Attributes:
        users: Shape (m,), distinct users, ascending.
        start: Shape (m + 1,), where each user's items start.
        item: Shape (n,), the items.
        order: Shape (n,), where each stood when it was asked for.
        row_of_user: Shape (n_users,), places in `users`; -1 for others.
    """

    users: Codes
    start: Int64
    item: Codes
    order: Int64
    row_of_user: Codes

    @classmethod
    def of(cls, user: Codes, item: Codes, n_users: int) -> Asked:
        """Lay out pairs, shape (n,) each; a pair may stand twice."""
        order = np.argsort(user, kind="stable")
        users, counts = np.unique(user, return_counts=True)
        row_of_user = np.full(n_users, -1, np.int32)
        row_of_user[users] = np.arange(len(users), dtype=np.int32)
        start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(users.astype(np.int32), start, item[order].astype(np.int32), order, row_of_user)

    def answer(self, total: Floats, events_of_user: Int64) -> Floats:
        """Return sums over source events as means, in the order of asking; 0 for users without any.

        Args:
            total: Shape (n,), sums by user.
            events_of_user: Shape (n_users,), positive source events.
        """
        events = np.repeat(events_of_user[self.users], np.diff(self.start))
        answered = np.empty(len(total))
        answered[self.order] = total / np.maximum(events, 1)
        return answered

    def look_up(self, log: EventLog, told: Callable[[Int64, Codes], Floats], total: Floats) -> None:
        """Add to `total`, shape (n,), what each event of a log tells of its user's items.

        Args:
            log: Events.
            told: Given events, ascending, and items, shape (r,) each, returns one number for each.
            total: Added to.
        """
        counts = np.diff(self.start)
        found = np.flatnonzero(self.row_of_user[log.user] >= 0)
        ends = np.cumsum(counts[self.row_of_user[log.user[found]]])
        for some in _blocks(found, ends):
            row = self.row_of_user[log.user[some]]
            n = counts[row]
            place = np.arange(n.sum()) + np.repeat(self.start[row] - (np.cumsum(n) - n), n)
            numbers = told(np.repeat(some, n), self.item[place])
            total += np.bincount(place, numbers, len(total))


def _blocks(found: Int64, ends: Int64) -> Iterator[Int64]:
    """Cut events into ranges of about `ROWS_AT_ONCE` rows."""
    first = 0
    while first < len(found):
        before = int(ends[first - 1]) if first else 0
        last = max(int(np.searchsorted(ends, before + ROWS_AT_ONCE, side="right")), first + 1)
        yield found[first:last]
        first = last


def source_events(stored: StoredPair) -> Int64:
    """Return, shape (n_users,), how many positive source events each user has."""
    n_users = len(stored.target.users)
    count = partial(np.bincount, minlength=n_users)
    return sum((count(part.positives().user) for part in stored.source.parts()), np.zeros(n_users, np.int64))
