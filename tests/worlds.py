"""Small worlds for tests, and the slow, obvious way to count in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from scalr.logs.event_log import Pair
from scalr.logs.reading import read_pair


def small_tables(
    seed: int = 0, users: int = 60, source_items: int = 8, target_items: int = 12, events: tuple[int, int] = (400, 300)
) -> tuple[pa.Table, pa.Table]:
    """Return a source and a target table with random events, dense enough for repeats and shared items."""
    random = np.random.default_rng(seed)
    tables = []
    for n, n_items, offset in ((events[0], source_items, 0), (events[1], target_items, 100)):
        columns = {
            "user": random.integers(0, users, n),
            "item": random.integers(0, n_items, n) + offset,
            "time": random.integers(1_600_000_000, 1_600_000_000 + 40 * 86_400, n),
        }
        tables.append(pa.table(columns))
    return tables[0], tables[1]


def small_pair(seed: int = 0, **shape: int) -> Pair:
    """Return the pair of `small_tables`."""
    return read_pair(*small_tables(seed, **shape))


@dataclass
class CountTable:
    """All counts of a pair, held as dense matrices: what the streaming kernel must agree with."""

    pair: Pair
    window_days: float | None = None

    def __post_init__(self) -> None:
        source, target = self.pair.source.positives(), self.pair.target.positives()
        n_users, n_source, n_target = len(source.users), len(source.items), len(target.items)
        self.has_path = np.zeros((n_users, n_source, n_target), np.int64)
        for u, j, s in zip(source.user, source.item, times(source), strict=True):
            mine = target.user == u
            for i, t in zip(target.item[mine], times(target)[mine], strict=True):
                follows = self.window_days is None or 0 <= t - s <= self.window_days * 86_400 * 1_000_000
                self.has_path[u, j, i] |= follows

    def counts(self, user: int, source_item: int) -> np.ndarray:
        """Return the number of other users behind (source_item, i) for every target item i."""
        return self.has_path[:, source_item].sum(axis=0) - self.has_path[user, source_item]

    def law(self, user: int, source_item: int, temperature: float = 1.0, min_support: int = 1) -> np.ndarray:
        """Return P(i | user, source_item) for every target item i; zeros where nothing can be drawn."""
        counts = self.counts(user, source_item)
        mass = np.where(counts >= min_support, counts, 0) ** (1 / temperature)
        return mass / mass.sum() if mass.sum() else mass.astype(float)


def times(log) -> np.ndarray:
    return np.zeros(len(log), np.int64) if log.time is None else log.time
