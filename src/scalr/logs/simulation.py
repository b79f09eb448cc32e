"""Worlds with a known truth: two domains whose users share a taste, or do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.foundation import ConfigError, Floats, rng
from scalr.logs.event_log import Pair
from scalr.logs.reading import read_pair

FIRST_INSTANT = 1_600_000_000  # seconds since 1970 (September 2020) of the first simulated event


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Two simulated logs and the law they were drawn from.

    Attributes:
        source: Source events: user, item, time (seconds).
        target: Target events: user, item, time (seconds), value.
        pair: The same events, read.
        taste: Shape (n_users,), each user's group, which source events always follow.
        target_taste: Shape (n_users,), the group that target events follow: `taste`, but for `relatedness` < 1.
        item_law: Shape (n_groups, n_target_items), P(target item | target taste).
    """

    source: pa.Table
    target: pa.Table
    pair: Pair
    taste: npt.NDArray[np.int64]
    target_taste: npt.NDArray[np.int64]
    item_law: Floats


def simulate(
    *,
    n_users: int = 1000,
    n_source_items: int = 300,
    n_target_items: int = 200,
    events_per_user: tuple[float, float] = (30.0, 6.0),
    n_groups: int = 8,
    focus: float = 0.8,
    relatedness: float = 1.0,
    seed: int = 0,
) -> World:
    """Simulate a source and a target domain.

    A user belongs to one of `n_groups` tastes and an item to one group. With probability `focus` an event goes to an
    item of the user's group, else to any item; within both, popularity falls as 1 / rank. With probability
    1 - `relatedness` a user's target taste is drawn anew, so 0 gives unrelated domains: a *null world*, in which
    nothing can be transferred.

    Args:
        n_users: Users; all are in both domains as far as their events reach.
        n_source_items: Source items.
        n_target_items: Target items.
        events_per_user: Mean events per user in the source and in the target domain.
        n_groups: Tastes.
        focus: Share of events inside the user's own group, in [0, 1].
        relatedness: Share of users whose target taste is their source taste, in [0, 1].
        seed: Any integer.

    Raises:
        ConfigError: If there are fewer items than tastes.
    """
    if min(n_source_items, n_target_items) < n_groups:
        raise ConfigError(
            f"{n_groups} tastes share {min(n_source_items, n_target_items)} items",
            expected="at least one item per taste in both domains",
            fix="lower n_groups",
        )

    def numbers(n: int, what: int) -> Floats:
        keys = np.arange(n, dtype=np.uint64)
        return rng.keyed_units(seed, rng.Purpose.SIMULATE, keys, np.full(n, what, np.uint64))

    taste = (numbers(n_users, 0) * n_groups).astype(np.int64)
    redrawn = (numbers(n_users, 1) * n_groups).astype(np.int64)
    target_taste = np.where(numbers(n_users, 2) < relatedness, taste, redrawn)
    source_law, target_law = (_item_law(n, n_groups, focus) for n in (n_source_items, n_target_items))
    tables = []
    for place, (law, groups) in enumerate(((source_law, taste), (target_law, target_taste))):
        n = round(n_users * events_per_user[place])
        activity = np.cumsum(1 / (1 + np.arange(n_users)) ** 0.3)
        user = np.searchsorted(activity, numbers(n, 10 + 4 * place) * activity[-1])
        item, chance = np.empty(n, np.int64), numbers(n, 11 + 4 * place)
        for group, below in enumerate(np.cumsum(law, axis=1)):
            mine = groups[user] == group
            item[mine] = np.searchsorted(below, chance[mine] * below[-1], side="right")
        time = FIRST_INSTANT + (numbers(n, 12 + 4 * place) * 86_400 * 100).astype(np.int64)
        columns = {"user": user, "item": item if place == 0 else item + 1_000_000, "time": time}
        if place == 1:
            columns["value"] = np.round(np.exp(3 * numbers(n_target_items, 18))[item], 2)
        tables.append(pa.table(columns))
    pair = read_pair(tables[0], tables[1])
    return World(tables[0], tables[1], pair, taste, target_taste, target_law)


def _item_law(n_items: int, n_groups: int, focus: float) -> Floats:
    """Return P(item | taste), shape (n_groups, n_items); item i belongs to group i % n_groups."""
    popularity = 1 / (1 + np.arange(n_items) // n_groups)
    inside = np.arange(n_items)[None, :] % n_groups == np.arange(n_groups)[:, None]
    own = inside * popularity
    law: Floats = focus * own / own.sum(axis=1, keepdims=True) + (1 - focus) * popularity / popularity.sum()
    return law
