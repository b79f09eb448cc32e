"""Small folds and synthetic events for tests of training and evaluation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from scalr.evaluation.folds import Fold, Split, split
from scalr.foundation.config import SplitSettings
from scalr.logs.event_log import Pair
from scalr.logs.reading import read_pair
from scalr.synthesis.events import SyntheticEvents


def grouped_pair(seed: int = 0, users: int = 200, items: int = 60, events: int = 3000, focus: float = 0.9) -> Pair:
    """Return a pair whose target events go to items of the user's group (of 4) with probability `focus`.

    All items are equally popular and the source log is noise, so with `focus` = 0 there is nothing to learn at all.
    """
    random = np.random.default_rng(seed)
    user = random.integers(0, users, events)
    grouped = (random.integers(0, items // 4, events) * 4 + user % 4) % items
    item = np.where(random.random(events) < focus, grouped, random.integers(0, items, events))
    time = 1_600_000_000 + random.integers(0, 40 * 86_400, events)
    source = {"user": random.integers(0, users, events), "item": random.integers(1000, 1040, events), "time": time}
    return read_pair(pa.table(source), pa.table({"user": user, "item": item, "time": time[::-1]}))


def with_newcomers(pair: Pair, every: int = 10) -> Pair:
    """Return the pair with all target events of every tenth user among the latest."""
    target = pair.target
    assert target.time is not None
    late = target.time + np.int64(40 * 86_400 * 1_000_000)
    return replace(pair, target=replace(target, time=np.where(target.user % every == 0, late, target.time)))


def folds(pair: Pair | None = None, hide: float = 0.3, seed: int = 0) -> Split:
    """Return the folds of a pair, `grouped_pair` if None, with some cold users."""
    return split(pair or grouped_pair(), SplitSettings(hide_overlap=hide), seed)


def synthetic_for(fold: Fold, rows: int = 500, seed: int = 0, fitted_until: int | None = None) -> SyntheticEvents:
    """Return synthetic events with random users, items and source events of a fold."""
    random, pair = np.random.default_rng(seed), fold.pair
    source_row = np.sort(random.choice(len(pair.source), rows, replace=False)).astype(np.int64)
    return SyntheticEvents(
        pair=pair,
        user=pair.source.user[source_row],
        item=random.choice(np.unique(pair.target.item), rows).astype(np.int32),
        source_row=source_row,
        draw=np.zeros(rows, np.int32),
        confidence=np.full(rows, 0.5, np.float32),
        support=np.ones(rows, np.int32),
        weight=np.ones(rows, np.float32),
        fitted_until=pair.source.last_time() if fitted_until is None else fitted_until,
        seed=seed,
    )
