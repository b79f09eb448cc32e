"""Align synthetic events with the real log: downsample buckets of value, popularity or time until the shares agree.

Whether an event stays depends on its bucket and on a hash of the event. Events may therefore come in parts: a first
pass adds up the weight of each bucket (`Masses`), and `Align.decide` turns the sums into a chance per bucket.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.foundation import AlignSettings, Codes, Floats, Int64, Mask, SchemaError, Times, rng
from scalr.logs import EventLog, ItemTable, Pair, StoredPair
from scalr.synthesis.events import DrawnEvents
from scalr.synthesis.fidelity import total_variation, wasserstein

RAKING_ROUNDS = 50  # iterative proportional fitting over several marginals; one marginal needs one
TIME_BINS = 64  # per bucket: how finely the distribution of times is kept for the distance that is reported


@dataclass(frozen=True, slots=True, eq=False)
class Marginal:
    """One quantity of the real events, cut into buckets, and its possible values for synthetic events.

    Attributes:
        by: "value", "popularity" or "time".
        edges: Shape (n_buckets + 1,), ascending; a bucket holds its left edge, the last one both.
        real: Shape (n_real,), the quantity of each real event.
        points: Shape (n_points,), quantities at which synthetic weight is added up: one per target item, or times.
    """

    by: str
    edges: Floats
    real: Floats
    points: Floats

    def bucket(self, quantity: Floats) -> Int64:
        """Return the bucket of each quantity; quantities outside the edges get the first or last bucket."""
        return np.searchsorted(self.edges[1:-1], quantity, side="right").astype(np.int64)

    def real_shares(self) -> Floats:
        """Return the share of real events in each bucket, shape (n_buckets,), which sums to 1."""
        return np.bincount(self.bucket(self.real), minlength=len(self.edges) - 1) / len(self.real)

    def shares(self, mass: Floats) -> Floats:
        """Return the share of each bucket in the weight at `points`, shape (n_buckets,); zeros without weight."""
        weight = np.bincount(self.bucket(self.points), mass, minlength=len(self.edges) - 1)
        return weight / (mass.sum() or 1.0)

    def facts(self) -> dict[str, Any]:
        """Return the facts about the real events, for a receipt."""
        return {"by": self.by, "edges": self.edges.tolist(), "real": self.real_shares().tolist()}

    def facts_of(self, name: str, shares: Floats, *, has_events: bool) -> dict[str, Any]:
        """Return the facts about synthetic events, for a receipt: shares by bucket, distance from the real ones.

        Args:
            name: "before" or "after".
            shares: Shape (n_buckets,).
            has_events: Whether there are events to compare.
        """
        variation = total_variation(self.real_shares(), shares) if has_events else None
        return {name: shares.tolist(), f"total_variation_{name}": variation}


def marginal(pair: Pair | StoredPair, by: str, n_buckets: int) -> Marginal | None:
    """Return the marginal `by`, or None where the logs do not have the quantity.

    On both sides values belong to *items*: the median of the item's real events, else the item table's `value`.
    """
    target, of_item = pair.target.positives(), np.zeros(0)
    if by == "time":
        if target.time is None or pair.source.time is None:
            return None
        real = target.time.astype(np.float64)
    else:
        quantity = item_popularity(target) if by == "popularity" else item_values(target, pair.items)
        if quantity is None:
            return None
        of_item = quantity
        real = of_item[target.item]
    real = real[np.isfinite(real)]
    if not len(real):
        return None
    edges = np.unique(np.quantile(real, np.linspace(0, 1, n_buckets + 1)))
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    if by == "time":
        bins = [np.linspace(low, high, TIME_BINS, endpoint=False) for low, high in pairwise(edges)]
        return Marginal(by, edges, real, np.concatenate([*bins, edges[-1:]]))
    return Marginal(by, edges, real, np.nan_to_num(of_item, nan=float(edges[0])))


@dataclass(frozen=True, slots=True, eq=False)
class Masses:
    """Summed weight of synthetic events: per target item, per time bin, and per cell of all marginals together."""

    item: Floats
    time: Floats
    cell: Floats

    def __add__(self, other: Masses) -> Masses:
        return Masses(self.item + other.item, self.time + other.time, self.cell + other.cell)


@dataclass(frozen=True, eq=False)
class Buckets:
    """The marginals that events are aligned by; an event has a bucket in each, which together are its cell.

    Attributes:
        marginals: Marginals whose quantity the logs have.
        passed_over: Names of the other marginals.
        n_items: Number of target items.
    """

    marginals: tuple[Marginal, ...]
    passed_over: tuple[str, ...]
    n_items: int

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The number of buckets of each marginal."""
        return tuple(len(marginal.edges) - 1 for marginal in self.marginals)

    @cached_property
    def _of_item(self) -> Int64:
        """The part of the cell number that the target item decides, with time in its first bucket."""
        places = [np.zeros(self.n_items, np.int64) if m.by == "time" else m.bucket(m.points) for m in self.marginals]
        return np.ravel_multi_index(places, self.shape).astype(np.int64)

    @cached_property
    def _time(self) -> tuple[Marginal, int] | None:
        """The marginal of time, and the difference in cell number between neighbouring buckets of it."""
        for place, marginal in enumerate(self.marginals):
            if marginal.by == "time":
                return marginal, int(np.prod(self.shape[place + 1 :]))
        return None

    def cell(self, item: Codes, time: Times | None) -> Int64:
        """Return the cell of each event, shape (n,)."""
        cell = self._of_item[item]
        if self._time is not None and time is not None:
            cell = cell + self._time[0].bucket(time.astype(np.float64)) * self._time[1]
        return cell

    def masses(self, item: Codes, time: Times | None, weight: npt.NDArray[np.float32]) -> Masses:
        """Add up the weight of events; arguments have shape (n,)."""
        heavy = weight.astype(np.float64)
        by_time: Floats = np.zeros(0)
        if self._time is not None and time is not None:
            points = self._time[0].points
            at = np.clip(np.searchsorted(points, time.astype(np.float64), side="right") - 1, 0, len(points) - 1)
            by_time = _summed(at, heavy, len(points))
        by_cell = _summed(self.cell(item, time), heavy, int(np.prod(self.shape)))
        return Masses(_summed(item, heavy, self.n_items), by_time, by_cell)

    def weigh(self, events: DrawnEvents) -> Masses:
        """Add up the weight of events."""
        return self.masses(events.item, events.time, events.weight)

    def distances(self, before: Masses, after: Masses) -> list[dict[str, Any]]:
        """Return facts per marginal: shares by bucket, and both distances; None where there are no events."""
        rows = []
        for marginal in self.marginals:
            facts = marginal.facts()
            for name, masses in (("before", before), ("after", after)):
                mass = masses.time if marginal.by == "time" else masses.item
                has_events = bool(mass.sum() > 0)
                facts |= marginal.facts_of(name, marginal.shares(mass), has_events=has_events)
                distance = wasserstein(marginal.real, marginal.points, synthetic_weight=mass) if has_events else None
                facts[f"wasserstein_{name}"] = distance
            rows.append(facts)
        return rows

    def variations(self, before: Floats, after: Floats) -> list[dict[str, Any]]:
        """Like `distances`, from cell weights of shape (n_cells,); the Wasserstein distance is not available."""
        rows = []
        for axis, marginal in enumerate(self.marginals):
            facts, others = marginal.facts(), tuple(a for a in range(len(self.shape)) if a != axis)
            for name, cells in (("before", before), ("after", after)):
                shares = cells.reshape(self.shape).sum(axis=others) / (cells.sum() or 1.0)
                facts |= marginal.facts_of(name, shares, has_events=bool(cells.any()))
            rows.append(facts)
        return rows


def buckets_of(pair: Pair | StoredPair, settings: AlignSettings) -> Buckets:
    """Return the marginals of the real events."""
    marginals = {by: marginal(pair, by, settings.buckets) for by in settings.by}
    present = tuple(one for one in marginals.values() if one is not None)
    return Buckets(present, tuple(by for by, one in marginals.items() if one is None), len(pair.target.items))


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """A decided alignment: the chance of each cell's events to stay. It is a `RowRule`; see `scalr.synthesis.stages`.

    Attributes:
        buckets: How events fall into cells.
        chance: Shape (n_cells,), in [0, 1].
        seed: Seed of the draws.
    """

    buckets: Buckets
    chance: Floats
    seed: int

    def keep(self, events: DrawnEvents) -> Mask:
        """Return whether each event stays, shape (n,), by a hash of the event."""
        number = rng.keyed_units(self.seed, rng.Purpose.ALIGN, events.keys())
        stays: Mask = number < self.chance[self.buckets.cell(events.item, events.time)]
        return stays


@dataclass(frozen=True, slots=True)
class Align:
    """The rule that downsamples over-represented buckets until the marginals follow the real ones.

    Attributes:
        settings: Marginals, number of buckets, least share to keep.
        seed: Seed of the draws.
    """

    settings: AlignSettings
    seed: int

    def buckets(self, pair: Pair | StoredPair) -> Buckets:
        """Return the marginals of the real events."""
        return buckets_of(pair, self.settings)

    def decide(self, buckets: Buckets, masses: Masses) -> Alignment:
        """Decide how many events of each bucket stay.

        With shares r of the real and s of the synthetic events, a bucket keeps min(1, c · r / s) of its events. The
        scale c is the largest one that aligns exactly, or, where that would keep less than `keep_share`, the one that
        keeps `keep_share`. Shares are of weight, which is what training sees. Several marginals are fitted together by
        raking.

        Args:
            buckets: Those of the real events.
            masses: Weight of all synthetic events; of these sums `cell` alone matters.
        """
        if not masses.cell.any():
            return Alignment(buckets, np.ones(len(masses.cell)), self.seed)
        mass = (masses.cell / masses.cell.sum()).reshape(buckets.shape)
        ratio = _raked(buckets, mass)
        scale = _scale(ratio.ravel(), mass.ravel(), self.settings.keep_share)
        return Alignment(buckets, np.minimum(1.0, scale * ratio).ravel(), self.seed)


def _raked(buckets: Buckets, mass: Floats) -> Floats:
    """Return the ratio of each cell, of the shape of `mass`, at which all marginals equal the real ones."""
    ratio = np.ones(buckets.shape)
    for _ in range(RAKING_ROUNDS if len(buckets.marginals) > 1 else 1):
        for axis, marginal in enumerate(buckets.marginals):
            others = tuple(a for a in range(len(buckets.shape)) if a != axis)
            wanted, present = marginal.real_shares(), (mass * ratio).sum(axis=others)
            factor = np.divide(wanted, present, out=np.zeros_like(wanted), where=present > 0)
            ratio *= factor.reshape([-1 if a == axis else 1 for a in range(len(buckets.shape))])
    return ratio


def _summed(place: npt.NDArray[Any], weight: Floats, n: int) -> Floats:
    """Add up weights by place; the sums are float64 even without weights."""
    return np.bincount(place, weight, minlength=n).astype(np.float64)


def item_popularity(target: EventLog) -> Floats:
    """Return the number of real events of each target item, shape (n_items,)."""
    return np.bincount(target.item, minlength=len(target.items)).astype(np.float64)


def item_values(target: EventLog, items: ItemTable | None) -> Floats | None:
    """Return the value of each target item, shape (n_items,), NaN where unknown; None without any values."""
    if target.value is not None:
        is_known = np.isfinite(target.value)
        item, value = target.item[is_known], target.value[is_known]
        order = np.lexsort((value, item))
        count = np.bincount(item, minlength=len(target.items))
        start = np.cumsum(count) - count
        has = count > 0
        ordered, medians = value[order], np.full(len(count), np.nan)
        low, high = start[has] + (count[has] - 1) // 2, start[has] + count[has] // 2
        medians[has] = (ordered[low] + ordered[high]) / 2
        return medians
    if items is not None and "value" in items.target.column_names:
        column = items.target.column("value")
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            raise SchemaError(
                f"column 'value' of the item table has type {column.type}",
                expected="numbers",
                fix="cast it, or remove it from the item table",
            )
        return np.asarray(column.cast("float64").fill_null(np.nan).to_numpy(), np.float64)
    return None


def _scale(ratio: Floats, mass: Floats, keep_share: float) -> float:
    """Return the scale c at which cells keep min(1, c · ratio): the exact one, or the least that keeps `keep_share`."""
    present = (mass > 0) & (ratio > 0)
    if not present.any():
        return np.inf
    exact = 1.0 / ratio[present].max()
    low, high = exact, 1.0 / ratio[present].min()

    def share(scale: float) -> float:
        return float((mass * np.minimum(1.0, scale * ratio)).sum())

    if share(exact) >= keep_share:
        return float(exact)
    for _ in range(60):  # bisection to the last bit that matters
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) < keep_share else (low, middle)
    return float(high)
