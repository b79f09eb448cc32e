"""Align synthetic events with the real log: downsample buckets of value, popularity or time until the shares agree.

Whether an event stays depends on its bucket and on a hash of the event, so events may come in parts: a first pass adds
up what lies in every bucket (`Masses`), then `Alignment` knows each event's chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.foundation import AlignSettings, Codes, Floats, Int64, Keys, SchemaError, Stopwatch, Times, rng
from scalr.logs import EventLog, ItemTable, Pair, StoredPair
from scalr.synthesis.events import SyntheticEvents
from scalr.synthesis.fidelity import total_variation, wasserstein

RAKING_ROUNDS = 50  # iterative proportional fitting over several marginals; one marginal needs one
TIME_BINS = 64  # per bucket: how finely the distribution of times is kept for the distance that is reported


@dataclass(frozen=True, slots=True, eq=False)
class Marginal:
    """One quantity of the real events, cut into buckets, and what is known of it for synthetic events.

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
        """Return the bucket of each quantity; what lies outside goes to the first or last bucket."""
        return np.searchsorted(self.edges[1:-1], quantity, side="right").astype(np.int64)

    def real_shares(self) -> Floats:
        """Return the share of real events in each bucket, shape (n_buckets,), which sums to 1."""
        return np.bincount(self.bucket(self.real), minlength=len(self.edges) - 1) / len(self.real)

    def shares(self, mass: Floats) -> Floats:
        """Return the share of each bucket in the weight at `points`, shape (n_buckets,); zeros where there is none."""
        held = np.bincount(self.bucket(self.points), mass, minlength=len(self.edges) - 1)
        return held / (mass.sum() or 1.0)

    def facts(self) -> dict[str, Any]:
        """Return what a receipt says of the real events."""
        return {"by": self.by, "edges": self.edges.tolist(), "real": self.real_shares().tolist()}

    def facts_of(self, name: str, shares: Floats, *, some: bool) -> dict[str, Any]:
        """Return what it says of synthetic events: shares by bucket, and how far they are from the real ones."""
        variation = total_variation(self.real_shares(), shares) if some else None
        return {name: shares.tolist(), f"total_variation_{name}": variation}


def marginal(pair: Pair | StoredPair, by: str, n_buckets: int) -> Marginal | None:
    """Return the marginal `by`, or None where the logs do not have the quantity.

    Values are values of *items* (median of the item's real events, else the item table's `value`), on both sides.
    """
    target, of_item = pair.target.positives(), np.zeros(0)
    if by == "time":
        if target.time is None or pair.source.time is None:
            return None
        real = target.time.astype(np.float64)
    else:
        known = item_popularity(target) if by == "popularity" else item_values(target, pair.items)
        if known is None:
            return None
        of_item = known
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
    """Synthetic weight, added up: per target item, per time bin, and per cell of all marginals together."""

    item: Floats
    time: Floats
    cell: Floats

    def __add__(self, other: Masses) -> Masses:
        return Masses(self.item + other.item, self.time + other.time, self.cell + other.cell)


@dataclass(frozen=True, eq=False)
class Buckets:
    """The marginals that events are aligned by, and the cell in which an event lies.

    Attributes:
        marginals: Those that the logs have.
        passed_over: Names of those that they do not have.
        n_items: Target items.
    """

    marginals: tuple[Marginal, ...]
    passed_over: tuple[str, ...]
    n_items: int

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Buckets of each marginal."""
        return tuple(len(one.edges) - 1 for one in self.marginals)

    @cached_property
    def _of_item(self) -> Int64:
        """Each target item's share of the cell number, with time in its first bucket."""
        places = [np.zeros(self.n_items, np.int64) if m.by == "time" else m.bucket(m.points) for m in self.marginals]
        return np.ravel_multi_index(places, self.shape).astype(np.int64)

    @cached_property
    def _time(self) -> tuple[Marginal, int] | None:
        """The marginal of time, and by how much its buckets are apart in the cell number."""
        for place, one in enumerate(self.marginals):
            if one.by == "time":
                return one, int(np.prod(self.shape[place + 1 :]))
        return None

    def cell(self, item: Codes, time: Times | None) -> Int64:
        """Return the cell of each event, shape (n,)."""
        cell = self._of_item[item]
        if self._time is not None and time is not None:
            cell = cell + self._time[0].bucket(time.astype(np.float64)) * self._time[1]
        return cell

    def masses(self, item: Codes, time: Times | None, weight: npt.NDArray[np.float32]) -> Masses:
        """Add up the weight of events, shape (n,) each."""
        heavy = weight.astype(np.float64)
        by_time: Floats = np.zeros(0)
        if self._time is not None and time is not None:
            points = self._time[0].points
            at = np.clip(np.searchsorted(points, time.astype(np.float64), side="right") - 1, 0, len(points) - 1)
            by_time = _summed(at, heavy, len(points))
        by_cell = _summed(self.cell(item, time), heavy, int(np.prod(self.shape)))
        return Masses(_summed(item, heavy, self.n_items), by_time, by_cell)

    def distances(self, before: Masses, after: Masses) -> list[dict[str, Any]]:
        """Return per marginal the buckets' shares and both distances; None where no event is there to compare."""
        found = []
        for one in self.marginals:
            facts = one.facts()
            for name, masses in (("before", before), ("after", after)):
                mass = masses.time if one.by == "time" else masses.item
                some = bool(mass.sum() > 0)
                facts |= one.facts_of(name, one.shares(mass), some=some)
                distance = wasserstein(one.real, one.points, synthetic_weight=mass) if some else None
                facts[f"wasserstein_{name}"] = distance
            found.append(facts)
        return found

    def variations(self, before: Floats, after: Floats) -> list[dict[str, Any]]:
        """Return the same of the weight in each cell, shape (n_cells,), which tells no distance of points."""
        found = []
        for axis, one in enumerate(self.marginals):
            facts, others = one.facts(), tuple(a for a in range(len(self.shape)) if a != axis)
            for name, cells in (("before", before), ("after", after)):
                shares = cells.reshape(self.shape).sum(axis=others) / (cells.sum() or 1.0)
                facts |= one.facts_of(name, shares, some=bool(cells.any()))
            found.append(facts)
        return found


def buckets_of(pair: Pair | StoredPair, settings: AlignSettings) -> Buckets:
    """Return the marginals of the real events."""
    found = {by: marginal(pair, by, settings.buckets) for by in settings.by}
    known = tuple(one for one in found.values() if one is not None)
    return Buckets(known, tuple(by for by, one in found.items() if one is None), len(pair.target.items))


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """The chance to stay of an event, by the cell of its bucket.

    Attributes:
        buckets: How events fall into cells.
        chance: Shape (n_cells,), in [0, 1].
        seed: Seed of the draws.
    """

    buckets: Buckets
    chance: Floats
    seed: int

    def keeps(self, item: Codes, time: Times | None, keys: Keys) -> npt.NDArray[np.bool_]:
        """Say for each event, shape (n,), whether it stays; `keys` are those of `SyntheticEvents.keys`."""
        number = rng.keyed_units(self.seed, rng.Purpose.ALIGN, keys)
        kept: npt.NDArray[np.bool_] = number < self.chance[self.buckets.cell(item, time)]
        return kept


def alignment(buckets: Buckets, masses: Masses, keep_share: float, seed: int) -> Alignment:
    """Decide how many events of each bucket stay.

    With shares r of the real and s of the synthetic events, a bucket keeps min(1, c · r / s) of its events. The
    scale c is the largest one that aligns exactly, or, where that would keep less than `keep_share`, the one that
    keeps `keep_share`. Shares are of weight, which is what training sees. Several marginals are fitted together by
    raking.
    """
    if not masses.cell.any():
        return Alignment(buckets, np.ones(len(masses.cell)), seed)
    mass = (masses.cell / masses.cell.sum()).reshape(buckets.shape)
    ratio = np.ones(buckets.shape)
    for _ in range(RAKING_ROUNDS if len(buckets.marginals) > 1 else 1):
        for axis, one in enumerate(buckets.marginals):
            others = tuple(a for a in range(len(buckets.shape)) if a != axis)
            wanted, have = one.real_shares(), (mass * ratio).sum(axis=others)
            factor = np.divide(wanted, have, out=np.zeros_like(wanted), where=have > 0)
            ratio *= factor.reshape([-1 if a == axis else 1 for a in range(len(buckets.shape))])
    scale = _scale(ratio.ravel(), mass.ravel(), keep_share)
    return Alignment(buckets, np.minimum(1.0, scale * ratio).ravel(), seed)


def align(events: SyntheticEvents, settings: AlignSettings) -> SyntheticEvents:
    """Drop events of over-represented buckets at random until the marginals follow the real ones; see `alignment`."""
    with Stopwatch() as watch:
        buckets = buckets_of(events.pair, settings)
        left, distances = events, []
        if buckets.marginals:
            before = _masses(buckets, events)
            if len(events):
                plan = alignment(buckets, before, settings.keep_share, events.seed)
                left = events.take(plan.keeps(events.item, _times(events), events.keys()))
            distances = buckets.distances(before, _masses(buckets, left))
    receipt = watch.receipt("align", len(events), len(left), marginals=distances, passed_over=list(buckets.passed_over))
    return left.with_receipt(receipt)


def _summed(place: npt.NDArray[Any], weight: Floats, n: int) -> Floats:
    """Add weights up by place; float64 even where there is nothing to add."""
    return np.bincount(place, weight, minlength=n).astype(np.float64)


def _masses(buckets: Buckets, events: SyntheticEvents) -> Masses:
    return buckets.masses(events.item, _times(events), events.weight)


def _times(events: SyntheticEvents) -> Times | None:
    time = events.pair.source.time
    return None if time is None else time[events.source_row]


def item_popularity(target: EventLog) -> Floats:
    """Return the number of real events of each target item, shape (n_items,)."""
    return np.bincount(target.item, minlength=len(target.items)).astype(np.float64)


def item_values(target: EventLog, items: ItemTable | None) -> Floats | None:
    """Return the value of each target item, shape (n_items,), NaN where unknown; None where nothing is known."""
    if target.value is not None:
        known = np.isfinite(target.value)
        item, value = target.item[known], target.value[known]
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
                fix="cast it, or leave it out of the item table",
            )
        return np.asarray(column.cast("float64").fill_null(np.nan).to_numpy(), np.float64)
    return None


def _scale(ratio: Floats, mass: Floats, keep_share: float) -> float:
    """Return the scale c at which cells keep min(1, c · ratio): exact if that keeps enough, else just enough."""
    present = (mass > 0) & (ratio > 0)
    if not present.any():
        return np.inf
    exact = 1.0 / ratio[present].max()
    low, high = exact, 1.0 / ratio[present].min()

    def kept(scale: float) -> float:
        return float((mass * np.minimum(1.0, scale * ratio)).sum())

    if kept(exact) >= keep_share:
        return float(exact)
    for _ in range(60):  # bisection to the last bit that matters
        middle = (low + high) / 2
        low, high = (middle, high) if kept(middle) < keep_share else (low, middle)
    return float(high)
