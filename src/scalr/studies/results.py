"""Numbers of a study: means over seeds, differences with intervals, reliability in buckets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scalr.evaluation import (
    METRICS,
    SEGMENTS,
    Evaluation,
    ImpressionFold,
    Judgement,
    bootstrap_relative_change,
    paired_relative_change,
    user_keys,
)
from scalr.foundation import Floats

BUCKETS = 10  # of predictions, with about equally many impressions each
RATIOS = ("normalized_entropy", "auc", "calibration_ratio")


def means(judgements: Sequence[Judgement]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return {segment: {metric: {mean, per_seed}}}; null where a segment has labels of one kind only."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for segment in SEGMENTS:
        found[segment] = {}
        for metric in METRICS:
            values = [one.segments[segment][metric] for one in judgements]
            known = [value for value in values if value is not None]
            found[segment][metric] = {"mean": float(np.mean(known)) if known else None, "per_seed": values}
    return found


def compared(judgements: Mapping[str, Sequence[Judgement]], judged: ImpressionFold) -> list[dict[str, Any]]:
    """Compare every arm with real events alone, and `scalr` with the controls, by segment and metric.

    Two intervals answer two questions. Over seeds (Student t): would other draws say the same of these test
    impressions? Over users (bootstrap, losses summed over all seeds): would other users? The second one is of
    normalized entropy only, and the wider one where conversions are few.

    Args:
        judgements: By arm, one per seed, all arms with the same seeds in the same order.
        judged: The test fold, for the keys of users.

    Returns:
        Ready for `study.json`: arm, baseline, segment, metric, relative_change, interval (over seeds; null with one),
        interval_users (null but for normalized entropy).
    """
    pairs = [(arm, "real_only") for arm in judgements if arm != "real_only"]
    if "scalr" in judgements:
        pairs += [("scalr", arm) for arm in judgements if arm not in ("scalr", "real_only")]
    found = []
    for arm, baseline in pairs:
        for segment in SEGMENTS:
            for metric in RATIOS:
                sides = [_per_seed(judgements[name], segment, metric) for name in (arm, baseline)]
                change = paired_relative_change(sides[0], sides[1])
                if not math.isfinite(change.relative_change):
                    continue
                over_users = None
                if metric == "normalized_entropy":
                    over_users = _over_users(judgements[arm], judgements[baseline], segment, judged)
                found.append(
                    {"arm": arm, "baseline": baseline, "segment": segment, "metric": metric}
                    | change.to_json()
                    | {"interval": _known(change.interval), "interval_users": over_users}
                )
    return found


def _per_seed(judgements: Sequence[Judgement], segment: str, metric: str) -> Floats:
    values = [one.segments[segment][metric] for one in judgements]
    return np.array([math.nan if value is None else value for value in values], np.float64)


def _over_users(
    arm: Sequence[Judgement], baseline: Sequence[Judgement], segment: str, judged: ImpressionFold
) -> list[float] | None:
    above, below = (np.sum([one.loss[segment] for one in side], axis=0) for side in (arm, baseline))
    has = below > 0
    change = bootstrap_relative_change(above[has], below[has], user_keys(judged, arm[0].user[has]))
    return _known(change.interval)


def _known(interval: tuple[float, float]) -> list[float] | None:
    return list(interval) if all(map(math.isfinite, interval)) else None


def reliability(judged: ImpressionFold, probabilities: Mapping[str, Floats]) -> dict[str, Any]:
    """Return what was predicted and what happened, in buckets of raw predictions.

    Args:
        judged: The fold.
        probabilities: By way of calibrating, shape (n,); "raw" is among them and makes the buckets.

    Returns:
        `impressions`, `observed` (share of conversions) and `stated` (mean prediction, by way of calibrating), a number
        per bucket each.
    """
    edges = np.quantile(probabilities["raw"], np.linspace(0, 1, BUCKETS + 1)[1:-1])
    place = np.searchsorted(edges, probabilities["raw"], side="right")
    size = np.bincount(place, minlength=BUCKETS)
    filled = size > 0

    def mean(numbers: Floats) -> list[float]:
        total: Floats = np.bincount(place, numbers, BUCKETS)[filled] / size[filled]
        return [float(one) for one in total]

    return {
        "impressions": size[filled].tolist(),
        "observed": mean(judged.label.astype(np.float64)),
        "stated": {method: mean(stated) for method, stated in probabilities.items()},
    }


def metric_means(evaluations: Sequence[Evaluation], segment: str) -> dict[str, dict[str, Any]]:
    """Return {metric: {mean, per_seed}}; null where a segment has no judged pairs."""
    metrics: dict[str, dict[str, Any]] = {}
    for name in evaluations[0].segments[segment]:
        values = [evaluation.segments[segment][name] for evaluation in evaluations]
        known = [value for value in values if value is not None]
        metrics[name] = {"mean": float(np.mean(known)) if known else None, "per_seed": values}
    return metrics
