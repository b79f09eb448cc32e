"""Refine synthetic events: drop what is real, unsure or repeated, align with the real log, cap; each with a receipt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from scalr.foundation import Codes, Int64, Keys, Mask, RefineSettings, Stopwatch, rng, stand_in_log
from scalr.synthesis.aligning import align
from scalr.synthesis.events import SyntheticEvents

ONE_SIDED_95 = 1.6448536269514722  # standard normal quantile of 0.95


def refine(events: SyntheticEvents, settings: RefineSettings | None = None) -> SyntheticEvents:
    """Narrow drawn events down to those worth training on, in a fixed order.

    Pairs that are already real go first, then unsure ones, repeats, the surplus of over-represented buckets
    (see `align`), and what is above the caps.

    Args:
        events: What sampling returned.
        settings: Thresholds and policies; defaults if None.

    Returns:
        The events that are left, with one more receipt per step.
    """
    settings = settings or RefineSettings()
    events = drop_real(events)
    events = filter_unsure(events, settings.min_support, settings.min_confidence)
    events = collapse_duplicates(events, settings.duplicates)
    if settings.align is not None:
        events = align(events, settings.align)
    return cap(events, settings.max_per_user, settings.max_per_item)


def drop_real(events: SyntheticEvents) -> SyntheticEvents:
    """Drop events whose (user, item) stands in the real target log, whatever its label."""
    with Stopwatch() as watch:
        target = events.pair.target
        start = np.zeros(len(target.users) + 1, np.int64)
        np.cumsum(np.bincount(target.user, minlength=len(target.users)), out=start[1:])
        left = events.take(~stand_in_log(events.user, events.item, start, target.item))
    return left.with_receipt(watch.receipt("drop_real", len(events), len(left)))


def filter_unsure(events: SyntheticEvents, min_support: int, min_confidence: float) -> SyntheticEvents:
    """Drop events with too little support, or whose confidence is too low at its lower bound."""
    with Stopwatch() as watch:
        keep = events.support >= min_support
        if min_confidence > 0:
            keep &= confidence_lower_bound(events.confidence, events.support) >= min_confidence
        left = events.take(keep)
    return left.with_receipt(watch.receipt("filter", len(events), len(left)))


def confidence_lower_bound(
    confidence: npt.NDArray[np.float32], support: npt.NDArray[np.int32], z: float = ONE_SIDED_95
) -> npt.NDArray[np.float64]:
    """Return the lower end of Wilson's interval for a confidence, shape (n,), in [0, 1].

    A confidence of 1/1 is worth less than one of 50/60. The number of paths is support / confidence.

    References:
        Wilson 1927, Probable inference, the law of succession, and statistical inference.
    """
    p = confidence.astype(np.float64)
    n = np.maximum(np.round(support / np.maximum(p, 1e-12)), 1.0)
    centre = p + z * z / (2 * n)
    spread = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    bound: npt.NDArray[np.float64] = np.maximum((centre - spread) / (1 + z * z / n), 0.0)
    return bound


def collapse_duplicates(events: SyntheticEvents, policy: str) -> SyntheticEvents:
    """Treat several events of one (user, item): `keep` all, or the `best`, or `merge` their weights into the best."""
    with Stopwatch() as watch:
        left = events if policy == "keep" else _best_of_each(events, merge=policy == "merge")
    return left.with_receipt(watch.receipt("deduplicate", len(events), len(left), policy=policy))


def _best_of_each(events: SyntheticEvents, *, merge: bool) -> SyntheticEvents:
    best, weight = best_of_each(events.user, events.item, events.confidence, events.weight)
    left = events.take(best)
    return replace(left, weight=weight) if merge else left


def best_of_each(
    user: Codes, item: Codes, confidence: npt.NDArray[np.float32], weight: npt.NDArray[np.float32]
) -> tuple[Int64, npt.NDArray[np.float32]]:
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


def cap(events: SyntheticEvents, per_user: int | None, per_item: int | None) -> SyntheticEvents:
    """Keep at most so many events per user, then per item: the most confident, ties by a hash of the event."""
    with Stopwatch() as watch:
        left = events
        for limit, name in ((per_user, "user"), (per_item, "item")):
            if limit is not None:
                group = getattr(left, name)
                left = left.take(most_confident(group, left.confidence, left.keys(), limit, left.seed))
    return left.with_receipt(watch.receipt("cap", len(events), len(left)))


def most_confident(group: Codes, confidence: npt.NDArray[np.float32], keys: Keys, limit: int, seed: int) -> Mask:
    """Say for each event, shape (n,), whether it is among the `limit` most confident of its group."""
    tie = rng.keyed_units(seed, rng.Purpose.CAP, keys)
    order = np.lexsort((tie, -confidence, group))
    ranked = group[order]
    keep = np.empty(len(order), np.bool_)
    keep[order] = np.arange(len(order)) - np.searchsorted(ranked, ranked) < limit
    return keep
