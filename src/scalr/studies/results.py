"""Numbers of a study: means over seeds, relative changes with intervals, reliability in buckets.

One implementation for both kinds of study; they differ in the metrics that are compared and in the intervals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np

from scalr.evaluation import ImpressionFold, Judgement, bootstrap_relative_change, paired_relative_change, user_keys
from scalr.foundation import Floats, Keys

BUCKETS = 10  # of predictions, with about equally many impressions each
IMPRESSION_METRICS = ("normalized_entropy", "auc", "calibration_ratio")
"""Metrics that are compared in a study of impressions; the log loss moves as the normalized entropy does."""


class HasMetrics(Protocol):
    """The metrics of one arm and seed."""

    @property
    def segments(self) -> Mapping[str, Mapping[str, float | None]]:
        """Return metrics by segment and name; None if a segment has no users or labels of one kind only."""


class HasUserSums(HasMetrics, Protocol):
    """The metrics of one arm and seed, and what each user adds to them."""

    def user_sums(self, segment: str, metric: str) -> tuple[Floats, Keys] | None:
        """Return per-user numbers whose sums are in the ratio of the metric, and the users' keys; None without any."""


Judged = TypeVar("Judged", bound=HasMetrics)
Interval = Callable[[Sequence[Judged], Sequence[Judged], str, str], dict[str, Any] | None]
"""Compares an arm with a baseline, both one per seed, on a segment and a metric; see `over_seeds`. Returns the fields
of the comparison in `study.json`, or None if the metric cannot be compared."""


def means(judged: Sequence[HasMetrics]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return {segment: {metric: {mean, per_seed}}}; the mean is null if no seed has a value.

    Args:
        judged: One per seed, at least one.
    """
    return {
        segment: {metric: _mean([one.segments[segment][metric] for one in judged]) for metric in metrics}
        for segment, metrics in judged[0].segments.items()
    }


def _mean(values: list[float | None]) -> dict[str, Any]:
    numbers = [value for value in values if value is not None]
    return {"mean": float(np.mean(numbers)) if numbers else None, "per_seed": values}


def compare_arms(
    judged: Mapping[str, Sequence[Judged]],
    interval: Interval[Judged],
    *,
    metrics: Sequence[str] | None = None,
    baseline: str = "real_only",
    headline: str = "scalr",
) -> list[dict[str, Any]]:
    """Compare every arm with the baseline, and the headline arm with every other one, by segment and metric.

    Comparisons without a number are omitted.

    Args:
        judged: By arm, one per seed, all arms with the same seeds in the same order.
        interval: How two arms are compared: `over_seeds` or `over_seeds_and_users`.
        metrics: Names of the metrics; all that the baseline has if None.
        baseline: Name of the arm that the others are compared with.
        headline: Name of the arm that is also compared with the controls; a gain counts when it beats them.

    Returns:
        Rows for `study.json`: arm, baseline, segment, metric and the fields of `interval`.
    """
    pairs = [(arm, baseline) for arm in judged if arm != baseline and baseline in judged]
    if headline in judged:
        pairs += [(headline, other) for other in judged if other not in (headline, baseline)]
    return [
        {"arm": arm, "baseline": other, "segment": segment, "metric": metric, **change}
        for arm, other in pairs
        for segment, known in judged[other][0].segments.items()
        for metric in (known if metrics is None else metrics)
        if (change := interval(judged[arm], judged[other], segment, metric)) is not None
    ]


def over_seeds(
    arm: Sequence[HasUserSums], baseline: Sequence[HasUserSums], segment: str, metric: str
) -> dict[str, Any] | None:
    """Compare over two or more seeds by paired t, with one seed by a bootstrap over users.

    The bootstrap omits metrics that are no ratio of sums over users: AUC and item coverage.

    Returns:
        relative_change, interval, level, p_value.
    """
    if len(arm) > 1:
        change = paired_relative_change(*(_per_seed(side, segment, metric) for side in (arm, baseline)))
    else:
        above, below = arm[0].user_sums(segment, metric), baseline[0].user_sums(segment, metric)
        if above is None or below is None:
            return None
        change = bootstrap_relative_change(above[0], below[0], above[1])
    return change.to_json() if math.isfinite(change.relative_change) else None


def over_seeds_and_users(test: ImpressionFold) -> Interval[Judgement]:
    """Return the comparison of impressions, whose two intervals answer two questions.

    Over seeds (Student t): would other draws give the same result on these test impressions? Over users (bootstrap,
    losses summed over all seeds): would other users? The second interval exists for normalized entropy only, and is
    the wider one if conversions are few.

    Args:
        test: The test fold, for the keys of users.
    """
    return partial(_over_seeds_and_users, test)


def _over_seeds_and_users(
    test: ImpressionFold, arm: Sequence[Judgement], baseline: Sequence[Judgement], segment: str, metric: str
) -> dict[str, Any] | None:
    change = paired_relative_change(*(_per_seed(side, segment, metric) for side in (arm, baseline)))
    if not math.isfinite(change.relative_change):
        return None
    users = _over_users(test, arm, baseline, segment) if metric == "normalized_entropy" else None
    return change.to_json() | {"interval": _finite(change.interval), "interval_users": users}


def _over_users(
    test: ImpressionFold, arm: Sequence[Judgement], baseline: Sequence[Judgement], segment: str
) -> list[float] | None:
    above, below = (np.sum([one.loss[segment] for one in side], axis=0) for side in (arm, baseline))
    has_loss = below > 0
    keys = user_keys(test, arm[0].user[has_loss])
    return _finite(bootstrap_relative_change(above[has_loss], below[has_loss], keys).interval)


def _per_seed(judged: Sequence[HasMetrics], segment: str, metric: str) -> Floats:
    values = [one.segments[segment][metric] for one in judged]
    return np.array([math.nan if value is None else value for value in values], np.float64)


def _finite(interval: tuple[float, float]) -> list[float] | None:
    return list(interval) if all(map(math.isfinite, interval)) else None


def reliability(judged: ImpressionFold, probabilities: Mapping[str, Floats]) -> dict[str, Any]:
    """Return predicted and observed rates, in buckets of raw predictions.

    Args:
        judged: The fold.
        probabilities: By calibration method, shape (n,); "raw" is among them and defines the buckets.

    Returns:
        `impressions`, `observed` (share of conversions) and `stated` (mean prediction, by calibration method), a number
        per bucket each.
    """
    edges = np.quantile(probabilities["raw"], np.linspace(0, 1, BUCKETS + 1)[1:-1])
    place = np.searchsorted(edges, probabilities["raw"], side="right")
    size = np.bincount(place, minlength=BUCKETS)
    filled = size > 0

    def mean(numbers: Floats) -> list[float]:
        total: Floats = np.bincount(place, numbers, BUCKETS)[filled] / size[filled]
        return [float(value) for value in total]

    return {
        "impressions": size[filled].tolist(),
        "observed": mean(judged.label.astype(np.float64)),
        "stated": {method: mean(stated) for method, stated in probabilities.items()},
    }
