"""The refining stages in order: one list that every engine walks.

A stage holds rules that decide which drawn events stay. Rules are of three kinds:

    RowRule    decides about each event by itself
    GroupRule  compares the events of a user or an item with each other
    Align      needs the weight of all events per bucket, then decides about each event by itself

`refine` applies them to events in memory; the engines apply them part by part, or in Spark tasks. A new stage is one
more entry in `refining_stages`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from scalr.foundation import Codes, Floats, Int64, Keys, Mask, RefineSettings, Singles, pairs_in_log, rng
from scalr.logs import EventLog
from scalr.synthesis.aligning import Align
from scalr.synthesis.events import DrawnEvents

ONE_SIDED_95 = 1.6448536269514722  # standard normal quantile of 0.95


class RowRule(Protocol):
    """Decides about each event by itself."""

    def keep(self, events: DrawnEvents) -> Mask:
        """Return whether each event stays, shape (n,)."""


@runtime_checkable
class GroupRule(Protocol):
    """Compares the events of a group with each other."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that events of a group have in common; the first is "user" or "item"."""

    @property
    def may_preselect(self) -> bool:
        """Return whether a pick from each part, followed by a pick from what is left, gives the same events."""

    def pick(self, events: DrawnEvents) -> tuple[Int64, Singles | None]:
        """Return the rows that stay, ascending, and their new weights; None leaves weights as they are."""


@dataclass(frozen=True, slots=True, eq=False)
class RealPairs:
    """Items of the real target log by user.

    Attributes:
        start: Shape (n_users + 1,), where each user's items start.
        item: Items, ascending within a user.
    """

    start: Int64
    item: Codes

    @classmethod
    def from_log(cls, target: EventLog) -> RealPairs:
        """Return the pairs of a target log, whatever their labels."""
        start = np.zeros(len(target.users) + 1, np.int64)
        np.cumsum(np.bincount(target.user, minlength=len(target.users)), out=start[1:])
        return cls(start, target.item)


@dataclass(frozen=True, slots=True, eq=False)
class DropReal:
    """Drops events whose (user, item) is in the real target log, whatever its label."""

    real: RealPairs

    def keep(self, events: DrawnEvents) -> Mask:
        """Return whether each event stays; see `RowRule`."""
        return ~pairs_in_log(events.user, events.item, self.real.start, self.real.item)


@dataclass(frozen=True, slots=True)
class MinSupport:
    """Keeps events with at least `least` other users behind them."""

    least: int

    def keep(self, events: DrawnEvents) -> Mask:
        """Return whether each event stays; see `RowRule`."""
        enough: Mask = events.support >= self.least
        return enough


@dataclass(frozen=True, slots=True)
class MinConfidence:
    """Keeps events whose confidence is at least `least` at its lower bound."""

    least: float

    def keep(self, events: DrawnEvents) -> Mask:
        """Return whether each event stays; see `RowRule`."""
        enough: Mask = confidence_lower_bound(events.confidence, events.support) >= self.least
        return enough


@dataclass(frozen=True, slots=True)
class BestOfEach:
    """Keeps the most confident event of each (user, item).

    Attributes:
        merge: Whether it gets the summed weight of all of them.
    """

    merge: bool
    columns: tuple[str, ...] = ("user", "item")
    may_preselect: bool = False  # float32 weights would be added up in another order

    def pick(self, events: DrawnEvents) -> tuple[Int64, Singles | None]:
        """Return the rows that stay; see `GroupRule`."""
        rows, weight = best_of_each(events.user, events.item, events.confidence, events.weight)
        return rows, weight if self.merge else None


@dataclass(frozen=True, slots=True)
class Cap:
    """Keeps at most `limit` events per user or item: the most confident, ties by a hash of the event."""

    column: str
    limit: int
    seed: int
    may_preselect: bool = True

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the column that events of a group have in common."""
        return (self.column,)

    def pick(self, events: DrawnEvents) -> tuple[Int64, None]:
        """Return the rows that stay; see `GroupRule`."""
        group: Codes = getattr(events, self.column)
        return np.flatnonzero(most_confident(group, events.confidence, events.keys(), self.limit, self.seed)), None


@dataclass(frozen=True, slots=True, eq=False)
class RefiningStage:
    """One step of refining, with a receipt of its own.

    Attributes:
        name: Name in receipts and manifests.
        rules: What decides, in order; without rules all events stay.
        details: Facts for the receipt that the settings fix.
    """

    name: str
    rules: tuple[RowRule | GroupRule | Align, ...]
    details: Mapping[str, Any] = field(default_factory=dict)


def refining_stages(settings: RefineSettings, real: RealPairs, seed: int) -> tuple[RefiningStage, ...]:
    """Return the stages of refining, in the order in which every engine applies them.

    Args:
        settings: Thresholds and policies.
        real: Pairs of the real target log.
        seed: Seed of the draws.
    """
    policy = settings.duplicates
    support: tuple[RowRule, ...] = (MinSupport(settings.min_support),)
    confidence: tuple[RowRule, ...] = (MinConfidence(settings.min_confidence),) if settings.min_confidence > 0 else ()
    caps = (("user", settings.max_per_user), ("item", settings.max_per_item))
    align = () if settings.align is None else (RefiningStage("align", (Align(settings.align, seed),)),)
    return (
        RefiningStage("drop_real", (DropReal(real),)),
        RefiningStage("filter", support + confidence),
        RefiningStage(
            "deduplicate", () if policy == "keep" else (BestOfEach(merge=policy == "merge"),), {"policy": policy}
        ),
        *align,
        RefiningStage("cap", tuple(Cap(column, limit, seed) for column, limit in caps if limit is not None)),
    )


def confidence_lower_bound(confidence: Singles, support: Codes, z: float = ONE_SIDED_95) -> Floats:
    """Return the lower end of Wilson's interval for a confidence, shape (n,), in [0, 1].

    A confidence of 1/1 is worth less than one of 50/60. The number of paths is support / confidence.

    References:
        Wilson 1927, Probable inference, the law of succession, and statistical inference.
    """
    p = confidence.astype(np.float64)
    n = np.maximum(np.round(support / np.maximum(p, 1e-12)), 1.0)
    centre = p + z * z / (2 * n)
    spread = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    bound: Floats = np.maximum((centre - spread) / (1 + z * z / n), 0.0)
    return bound


def best_of_each(user: Codes, item: Codes, confidence: Singles, weight: Singles) -> tuple[Int64, Singles]:
    """Find the most confident event of each (user, item), the first of several; arguments have shape (n,).

    Returns:
        Rows, ascending, and the summed weight of the (user, item) of each.
    """
    interaction = (user.astype(np.int64) << 32) | item
    order = np.lexsort((np.arange(len(user)), -confidence, interaction))
    starts = np.flatnonzero(np.diff(interaction[order], prepend=-1))
    best = order[starts]
    by_row = np.argsort(best)
    if not len(best):
        return best, np.zeros(0, np.float32)
    summed = np.add.reduceat(weight[order].astype(np.float64), starts)
    return best[by_row], summed[by_row].astype(np.float32)


def most_confident(group: Codes, confidence: Singles, keys: Keys, limit: int, seed: int) -> Mask:
    """Return whether each event, shape (n,), is among the `limit` most confident of its group."""
    tie = rng.keyed_units(seed, rng.Purpose.CAP, keys)
    order = np.lexsort((tie, -confidence, group))
    ranked = group[order]
    keep = np.empty(len(order), np.bool_)
    keep[order] = np.arange(len(order)) - np.searchsorted(ranked, ranked) < limit
    return keep
