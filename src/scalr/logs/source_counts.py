"""Counts of the source events, taken in one pass, part by part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from scalr.foundation import Int64
from scalr.logs.event_log import EventLog, Vocabulary

_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class DomainCount:
    """Counts of one source domain.

    Attributes:
        users: Users with an event.
        items: Items with an event.
        events: Events.
        positives: Events with label 1.
        interactions: Distinct (user, item) pairs with label 1.
        has_labels: Whether the log has labels.
        time_range: First and last time; None without time or events.
    """

    users: int
    items: int
    events: int
    positives: int
    interactions: int
    has_labels: bool
    time_range: tuple[int, int] | None


@dataclass(frozen=True, slots=True, eq=False)
class SourceCounts:
    """Counts of a source log.

    Attributes:
        events_of_user: Shape (n_users,), events of each user.
        positives_of_user: Shape (n_users,), events with label 1 of each user.
        interactions_of_user: Shape (n_users,), distinct items of each user's events with label 1.
        domains: Counts of each source domain.
        whole_weights: Whether all weights are whole numbers; True if the log has no weights.
        digest: A number that changes with any event, whatever the order of the rows; see `EventLog.digest`.
    """

    events_of_user: Int64
    positives_of_user: Int64
    interactions_of_user: Int64
    domains: tuple[DomainCount, ...]
    whole_weights: bool
    digest: int

    @property
    def time_range(self) -> tuple[int, int] | None:
        """Return the first and last time of any event; None without time."""
        spans = [domain.time_range for domain in self.domains if domain.time_range is not None]
        return (min(span[0] for span in spans), max(span[1] for span in spans)) if spans else None


def count_source_events(parts: Iterable[EventLog], users: Vocabulary, items: Vocabulary) -> SourceCounts:
    """Count users, items and events of a source log.

    Args:
        parts: All events; all events of an item are in the same part.
        users: Ids of users.
        items: Ids of items, and their domains.
    """
    n_users, n_domains = len(users), len(items.domains)
    events, positives, interactions = (np.zeros(n_users, np.int64) for _ in range(3))
    counters = [_Counter(n_users) for _ in range(n_domains)]
    digest, whole_weights = 0, True
    for part in parts:
        real = part.positives()
        is_first = real.starts_interaction()
        for total, user in ((events, part.user), (positives, real.user), (interactions, real.user[is_first])):
            total += np.bincount(user, minlength=n_users)
        whole_weights = whole_weights and (part.weight is None or not np.any(part.weight % 1))
        digest = (digest + part.digest()) & _MASK
        domain = items.domain[part.item] if n_domains > 1 else None
        for place, counter in enumerate(counters):
            counter.add(part if domain is None else part.take(domain == place))
    counts = tuple(counter.count() for counter in counters)
    return SourceCounts(events, positives, interactions, counts, whole_weights, digest)


class _Counter:
    """Counts of one domain while parts are added."""

    def __init__(self, n_users: int) -> None:
        self._seen = np.zeros(n_users, np.bool_)
        self._items = self._events = self._positives = self._interactions = 0
        self._has_labels = False
        self._span: tuple[int, int] | None = None

    def add(self, part: EventLog) -> None:
        """Count the events of a part."""
        if not len(part):
            return
        real = part.positives()
        self._seen[part.user] = True
        self._items += 1 + int(np.count_nonzero(np.diff(part.item)))
        self._events += len(part)
        self._positives += len(real)
        self._interactions += int(np.count_nonzero(real.starts_interaction()))
        self._has_labels = part.label is not None
        if part.time is not None:
            first, last = int(part.time.min()), int(part.time.max())
            self._span = (first, last) if self._span is None else (min(self._span[0], first), max(self._span[1], last))

    def count(self) -> DomainCount:
        """Return the counts of all parts."""
        return DomainCount(
            users=int(self._seen.sum()),
            items=self._items,
            events=self._events,
            positives=self._positives,
            interactions=self._interactions,
            has_labels=self._has_labels,
            time_range=self._span,
        )
