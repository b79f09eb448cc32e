"""The slow, obvious way to back off: every count of a small pair, held as dense matrices."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from tests.worlds import small_tables, times

from scalr.logs.event_log import EventLog, Pair
from scalr.logs.reading import read_pair

CATEGORY = {0: "a", 1: "a", 2: "a", 3: "b", 4: "b", 5: "c", 6: None}
"""Of source items; further ones are not in the item table."""


def categorised_pair(seed: int = 0, **shape) -> Pair:
    """Return the pair of `small_tables`, whose source items have categories."""
    items = pa.table({"item": list(CATEGORY), "Category": list(CATEGORY.values())})
    return read_pair(*small_tables(seed, **shape), items=items)


class BackoffTables:
    """Counts and laws of (user, source item), by loops over users."""

    def __init__(
        self, pair: Pair, pseudo_paths: float, cap: int | None = None, window_days: float | None = None
    ) -> None:
        self.pair, self.m, self.window = pair, pseudo_paths, window_days
        ids = pair.source.items.ids.to_pylist()
        self.category = [CATEGORY.get(one) if pair.items is not None else None for one in ids]
        self.n_users, self.n_target = len(pair.target.users), len(pair.target.items)
        self.has_source, self.has_target = (
            np.zeros((self.n_users, len(log.items)), bool) for log in (pair.source, pair.target)
        )
        for log, has in ((pair.source, self.has_source), (pair.target, self.has_target)):
            for u in range(self.n_users):
                has[u, latest_items(log, u, cap)] = True
        self.leads = np.zeros((self.n_users, len(ids), self.n_target), bool)
        for u, j in np.argwhere(self.has_source):
            self.leads[u, j] = self.has_target[u] if window_days is None else self._follow(u, j)

    def _follow(self, user: int, source_item: int) -> np.ndarray:
        source, target = self.pair.source, self.pair.target
        found = np.zeros(self.n_target, bool)
        starts = times(source)[(source.user == user) & (source.item == source_item)]
        for i, t in zip(target.item[target.user == user], times(target)[target.user == user], strict=True):
            found[i] |= any(0 <= t - s <= self.window * 86_400_000_000 for s in starts)
        return found & self.has_target[user]

    def counts(self, user: int, source_item: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the users other than `user` behind each target item: of the item, of its category, of all."""
        others = np.arange(self.n_users) != user
        group = [j for j, name in enumerate(self.category) if name is not None and name == self.category[source_item]]
        members = others & self.has_source[:, group].any(axis=1)
        return (
            self.leads[others, source_item].sum(axis=0),
            self.has_target[members].sum(axis=0),
            self.has_target[others].sum(axis=0),
        )

    def law(self, user: int, source_item: int, temperature: float = 1.0, min_support: int = 1) -> np.ndarray:
        """Return P(i | user, source_item) that strategy `sample` draws from; zeros where nothing can be drawn."""
        counts = self.counts(user, source_item)
        law = np.zeros(self.n_target)
        for level in reversed(counts):
            mass = np.where(level >= min_support, level, 0) ** (1 / temperature)
            if mass.sum():
                n = level.sum()
                law = (n * mass / mass.sum() + self.m * law) / (n + self.m) if law.sum() else mass / mass.sum()
        return law

    def confidence(self, user: int, source_item: int, min_support: int = 1) -> np.ndarray:
        """Return the smoothed probability of each target item at temperature 1."""
        by_item, by_category, by_all = self.counts(user, source_item)
        wider = (by_category + self.m * by_all / max(by_all.sum(), 1)) / (by_category.sum() + self.m)
        known = by_item if by_item.max() >= min_support else 0 * by_item
        return (known + self.m * wider) / (known.sum() + self.m)

    def top(self, user: int, source_item: int, draws: int, min_support: int = 1) -> tuple[list[int], list[int]]:
        """Return the items that strategy `topk` takes, and the users behind each."""
        items: list[int] = []
        users: list[int] = []
        for counts in self.counts(user, source_item):
            for i in np.lexsort((np.arange(self.n_target), -counts)):
                if counts[i] >= min_support and i not in items and len(items) < draws:
                    items.append(int(i))
                    users.append(int(counts[i]))
        return items, users


def latest_items(log: EventLog, user: int, cap: int | None) -> list[int]:
    """Return a user's items, at most `cap` of them, the latest; ties go to the lower code."""
    mine = log.user == user
    last = {int(i): times(log)[mine & (log.item == i)].max() for i in np.unique(log.item[mine])}
    return sorted(last, key=lambda i: (-last[i], i))[:cap]
