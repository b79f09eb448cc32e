"""Simulated domains with a known truth: their users share a taste, or are unrelated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.foundation import ConfigError, Floats, Int64, rng
from scalr.logs.event_log import Pair
from scalr.logs.reading import read_pair

FIRST_INSTANT = 1_600_000_000  # seconds since 1970 (September 2020); all simulated events follow within 100 days
_FIRST_TARGET_ITEM = 1_000_000  # target ids start here, so that they differ from source ids
_SOURCE_COUNTER, _TARGET_COUNTER, _VALUE_COUNTER = 10, 14, 18


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Two simulated logs and the distribution that generated them.

    Attributes:
        source: Source events: user, item, time (seconds).
        target: Target events: user, item, time (seconds), value.
        pair: The same events, read.
        taste: Shape (n_users,), the group that a user's source events follow.
        target_taste: Shape (n_users,), the group that target events follow; differs from `taste` if `relatedness` < 1.
        item_law: Shape (n_groups, n_target_items), P(target item | target taste).
    """

    source: pa.Table
    target: pa.Table
    pair: Pair
    taste: Int64
    target_taste: Int64
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

    A user has one of `n_groups` tastes, and an item belongs to one of as many groups. With probability `focus` an
    event goes to an item of the user's group, else to any item; in both cases popularity falls as 1 / rank. With
    probability 1 - `relatedness` a user's target taste is drawn independently, so 0 gives unrelated domains: a *null
    world*, in which nothing can be transferred.

    Args:
        n_users: Number of users; users with enough events are active in both domains.
        n_source_items: Number of source items.
        n_target_items: Number of target items.
        events_per_user: Mean events per user in the source and in the target domain.
        n_groups: Number of tastes.
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
    taste = (_units(seed, n_users, 0) * n_groups).astype(np.int64)
    redrawn = (_units(seed, n_users, 1) * n_groups).astype(np.int64)
    target_taste = np.where(_units(seed, n_users, 2) < relatedness, taste, redrawn)
    source_law, target_law = (_item_law(n, n_groups, focus) for n in (n_source_items, n_target_items))
    n_source, n_target = (round(n_users * mean) for mean in events_per_user)
    source = _events(seed, n_source, taste, source_law, _SOURCE_COUNTER)
    target = _events(seed, n_target, target_taste, target_law, _TARGET_COUNTER)
    value = np.round(np.exp(3 * _units(seed, n_target_items, _VALUE_COUNTER))[target["item"]], 2)
    target |= {"item": target["item"] + _FIRST_TARGET_ITEM, "value": value}
    tables = pa.table(source), pa.table(target)
    return World(*tables, read_pair(*tables), taste, target_taste, target_law)


def _events(seed: int, n: int, taste: Int64, law: Floats, counter: int) -> dict[str, npt.NDArray[Any]]:
    """Draw the events of a domain.

    Args:
        seed: Any integer.
        n: Number of events.
        taste: Shape (n_users,), the group that each user's events follow.
        law: Shape (n_groups, n_items), P(item | taste).
        counter: First of three counters of random numbers: users, items and times.

    Returns:
        Columns user, item and time (seconds since 1970), shape (n,) each.
    """
    n_users = len(taste)
    activity = np.cumsum(1 / (1 + np.arange(n_users)) ** 0.3)
    user = np.searchsorted(activity, _units(seed, n, counter) * activity[-1])
    item, chance, group_of = np.empty(n, np.int64), _units(seed, n, counter + 1), taste[user]
    for group, cumulative in enumerate(np.cumsum(law, axis=1)):
        in_group = group_of == group
        item[in_group] = np.searchsorted(cumulative, chance[in_group] * cumulative[-1], side="right")
    time = FIRST_INSTANT + (_units(seed, n, counter + 2) * 86_400 * 100).astype(np.int64)
    return {"user": user, "item": item, "time": time}


def _units(seed: int, n: int, counter: int) -> Floats:
    """Return n uniform numbers in [0, 1), shape (n,)."""
    return rng.keyed_units(seed, rng.Purpose.SIMULATE, np.arange(n, dtype=np.uint64), np.full(n, counter, np.uint64))


def _item_law(n_items: int, n_groups: int, focus: float) -> Floats:
    """Return P(item | taste), shape (n_groups, n_items); item i belongs to group i % n_groups."""
    popularity = 1 / (1 + np.arange(n_items) // n_groups)
    in_group = np.arange(n_items)[None, :] % n_groups == np.arange(n_groups)[:, None]
    inside = in_group * popularity
    law: Floats = focus * inside / inside.sum(axis=1, keepdims=True) + (1 - focus) * popularity / popularity.sum()
    return law
