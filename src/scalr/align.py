"""Align synthetic events with the real log: downsample buckets of value, popularity or time until the shares agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr import rng
from scalr.config import AlignSettings
from scalr.domain import EventLog, ItemTable
from scalr.errors import SchemaError
from scalr.metrics.fidelity import total_variation, wasserstein
from scalr.receipt import Stopwatch
from scalr.synthetic import SyntheticEvents

Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
RAKING_ROUNDS = 50  # iterative proportional fitting over several marginals; one marginal needs one


@dataclass(frozen=True, slots=True, eq=False)
class Marginal:
    """One quantity of real and of synthetic events, cut into buckets.

    Attributes:
        by: "value", "popularity" or "time".
        edges: Shape (n_buckets + 1,), ascending; a bucket holds its left edge, the last one both.
        real: Shape (n_real,), the quantity of each real event.
        synthetic: Shape (n,), the quantity of each synthetic event.
        weight: Shape (n,), the weight of each synthetic event, by which it counts.
    """

    by: str
    edges: Floats
    real: Floats
    synthetic: Floats
    weight: Floats

    def bucket(self, quantity: Floats) -> Int64:
        """Return the bucket of each quantity; what lies outside goes to the first or last bucket."""
        return np.searchsorted(self.edges[1:-1], quantity, side="right").astype(np.int64)

    def real_shares(self) -> Floats:
        """Return the share of real events in each bucket, shape (n_buckets,), which sums to 1."""
        return np.bincount(self.bucket(self.real), minlength=len(self.edges) - 1) / len(self.real)

    def synthetic_shares(self) -> Floats:
        """Return the share of the synthetic weight in each bucket, shape (n_buckets,); zeros where there is none."""
        mass = np.bincount(self.bucket(self.synthetic), self.weight, minlength=len(self.edges) - 1)
        return mass / (self.weight.sum() or 1.0)


def align(events: SyntheticEvents, settings: AlignSettings) -> SyntheticEvents:
    """Drop events of over-represented buckets at random until the marginals follow the real ones.

    With shares r of the real and s of the synthetic events, a bucket keeps min(1, c · r / s) of its events. The
    scale c is the largest one that aligns exactly, or, where that would keep less than `keep_share`, the one that
    keeps `keep_share`. Shares are of weight, which is what training sees. Several marginals are fitted together by
    raking.

    Values are values of *items* (median of the item's real events, else the item table's `value`), on both sides.
    """
    with Stopwatch() as watch:
        marginals = [m for by in settings.by if (m := marginal(events, by, settings.buckets)) is not None]
        left = events
        if marginals and len(events):
            chance = _keep_chance(marginals, settings.keep_share)
            number = rng.keyed_units(events.seed, rng.Purpose.ALIGN, events.keys())
            left = events.take(number < chance)
    distances = [_distances(m, marginal(left, m.by, settings.buckets)) for m in marginals]
    passed_over = [by for by in settings.by if by not in {m.by for m in marginals}]
    receipt = watch.receipt("align", len(events), len(left), marginals=distances, passed_over=passed_over)
    return left.with_receipt(receipt)


def marginal(events: SyntheticEvents, by: str, n_buckets: int) -> Marginal | None:
    """Return the marginal `by`, or None where the logs do not have the quantity."""
    target = events.pair.target.positives()
    if by == "time":
        if target.time is None or events.pair.source.time is None:
            return None
        real, synthetic = target.time.astype(np.float64), events.pair.source.time[events.source_row].astype(np.float64)
    else:
        items = item_popularity(target) if by == "popularity" else item_values(target, events.pair.items)
        if items is None:
            return None
        real, synthetic = items[target.item], items[events.item]
    known = np.isfinite(real)
    if not known.any():
        return None
    edges = np.unique(np.quantile(real[known], np.linspace(0, 1, n_buckets + 1)))
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    synthetic = np.where(np.isfinite(synthetic), synthetic, edges[0])
    return Marginal(by, edges, real[known], synthetic, events.weight.astype(np.float64))


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


def _keep_chance(marginals: list[Marginal], keep_share: float) -> Floats:
    """Return the chance of each synthetic event to stay, shape (n,)."""
    shape = tuple(len(m.edges) - 1 for m in marginals)
    cell = np.ravel_multi_index([m.bucket(m.synthetic) for m in marginals], shape)
    weight = marginals[0].weight
    mass = (np.bincount(cell, weight, minlength=int(np.prod(shape))) / (weight.sum() or 1.0)).reshape(shape)
    real = [m.real_shares() for m in marginals]
    ratio = np.ones(shape)
    for _ in range(RAKING_ROUNDS if len(marginals) > 1 else 1):
        for axis, wanted in enumerate(real):
            others = tuple(a for a in range(len(shape)) if a != axis)
            have = (mass * ratio).sum(axis=others)
            factor = np.divide(wanted, have, out=np.zeros_like(wanted), where=have > 0)
            ratio *= factor.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    scale = _scale(ratio.ravel(), mass.ravel(), keep_share)
    chance: Floats = np.minimum(1.0, scale * ratio).ravel()[cell]
    return chance


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


def _distances(before: Marginal, after: Marginal | None) -> dict[str, Any]:
    """Return the buckets' shares and both distances, before and after; None where no event is there to compare."""
    real = before.real_shares()
    facts: dict[str, Any] = {"by": before.by, "edges": before.edges.tolist(), "real": real.tolist()}
    for name, one in (("before", before), ("after", after or before)):
        shares, some = one.synthetic_shares(), one.weight.sum() > 0
        facts[name] = shares.tolist()
        facts[f"total_variation_{name}"] = total_variation(real, shares) if some else None
        distance = wasserstein(one.real, one.synthetic, synthetic_weight=one.weight) if some else None
        facts[f"wasserstein_{name}"] = distance
    return facts
