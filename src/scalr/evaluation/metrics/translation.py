"""Metrics of a translation as a predictor of held-out target events, without a downstream model.

Perplexity is exp(-mean log-likelihood), as for language models. Lower is better; the uniform distribution has a
perplexity equal to the size of the catalogue. Calibration compares the stated confidence of draws with the outcomes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalr.evaluation.kernels.bootstrap import resampled_ratios
from scalr.evaluation.metrics.comparison import LEVEL, RESAMPLES
from scalr.foundation import Floats, Int64, Keys, SchemaError, rng

SMOOTHING = 0.05  # weight of the uniform distribution in the mixture; keeps the loss at probability 0 finite
BUCKETS = 10


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval; NaN where it is undefined.

    Attributes:
        value: The number.
        interval: Lower and upper end, by bootstrap over users.
        level: Confidence level of the interval, in (0, 1).
    """

    value: float
    interval: tuple[float, float]
    level: float = LEVEL

    def to_json(self) -> dict[str, Any]:
        """Return the fields; null for NaN."""
        value, low, high = (None if math.isnan(one) else one for one in (self.value, *self.interval))
        return {"value": value, "interval": [low, high], "level": self.level}


def log_likelihoods(probability: Floats, n_catalogue: int, *, smoothing: float = SMOOTHING) -> Floats:
    """Return ln((1 - smoothing) · P(item | user) + smoothing / catalogue) in nats, shape (n,); higher is better.

    Args:
        probability: Shape (n,), P(item | user) of the observed pairs, in [0, 1].
        n_catalogue: Number of items in the catalogue, at least 1.
        smoothing: Weight of the uniform distribution, in (0, 1). Use the same value for all translations.

    Raises:
        SchemaError: If a probability is not in [0, 1].
    """
    if not ((probability >= 0) & (probability <= 1 + 1e-6)).all():
        raise SchemaError(
            "a probability of a translation is not in [0, 1]",
            expected="numbers from 0 to 1, none missing",
            fix="check the translator's `probability`",
        )
    found: Floats = np.log((1 - smoothing) * np.minimum(probability, 1.0) + smoothing / n_catalogue)
    return found


def mean_over_pairs(sums: Floats, pairs: Floats, user_keys: Keys, *, seed: int = 0) -> Estimate:
    """Return sum(sums) / sum(pairs) with an interval over users.

    Args:
        sums: Shape (n_users,), sum over the pairs of each user.
        pairs: Shape (n_users,), number of pairs of each user.
        user_keys: Shape (n_users,), keys of the users; the result does not depend on their order.
        seed: Any integer.
    """
    total = float(pairs.sum())
    if total == 0:
        return Estimate(math.nan, (math.nan, math.nan))
    stream = rng.stream(seed, rng.Purpose.BOOTSTRAP)
    drawn = resampled_ratios(sums.astype(np.float64), pairs.astype(np.float64), user_keys, stream, RESAMPLES)
    drawn = drawn[np.isfinite(drawn)]
    ends = np.quantile(drawn, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2]) if len(sums) > 1 and len(drawn) else [math.nan] * 2
    return Estimate(float(sums.sum()) / total, (float(ends[0]), float(ends[1])))


def perplexity(log_likelihood: Estimate) -> Estimate:
    """Return exp(-log-likelihood) with its interval; lower is better."""
    low, high = log_likelihood.interval
    return Estimate(math.exp(-log_likelihood.value), (math.exp(-high), math.exp(-low)), log_likelihood.level)


def equal_mass_buckets(stated: Floats, buckets: int = BUCKETS) -> Int64:
    """Return the bucket of each number, shape (n,), from 0, in ascending order, with about equal counts.

    Equal numbers share a bucket, so the number of buckets may be smaller than `buckets`.

    Args:
        stated: Shape (n,), numbers to group.
        buckets: Maximum number of buckets, at least 1.
    """
    if not len(stated):
        return np.zeros(0, np.int64)
    edges = np.quantile(stated, np.arange(1, buckets) / buckets, method="lower")
    raw = np.searchsorted(edges, stated, side="left")
    return np.unique(raw, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Draws with similar stated confidence.

    Attributes:
        draws: Number of draws.
        stated: Mean stated confidence of the draws.
        observed: Mean outcome of the draws, with an interval over users.
    """

    draws: int
    stated: float
    observed: Estimate


@dataclass(frozen=True, slots=True)
class ConfidenceCalibration:
    """Calibration of stated confidence.

    Attributes:
        buckets: Buckets in ascending order of stated confidence.
        error: Mean |stated - observed| over draws, divided by the mean stated confidence. 0 is ideal; it is 1 if no
            outcome is positive, and NaN without draws.
        ratio: Mean stated confidence divided by the mean outcome. A value above 1 means over-confidence; NaN if no
            outcome is positive.
    """

    buckets: tuple[Bucket, ...]
    error: float
    ratio: float

    def to_json(self) -> Mapping[str, Any]:
        """Return the fields; null for NaN."""
        return {
            "error": None if math.isnan(self.error) else self.error,
            "ratio": None if math.isnan(self.ratio) else self.ratio,
            "draws": sum(bucket.draws for bucket in self.buckets),
            "buckets": [
                {"draws": bucket.draws, "stated": bucket.stated, **_observed(bucket)} for bucket in self.buckets
            ],
        }


def _observed(bucket: Bucket) -> dict[str, Any]:
    content = bucket.observed.to_json()
    return {"observed": content["value"], "interval": content["interval"]}


def calibration_curve(
    stated: Floats, outcome: Floats, user: Int64, user_keys: Keys, *, buckets: int = BUCKETS, seed: int = 0
) -> ConfidenceCalibration:
    """Compare stated confidence with outcomes in buckets of equal mass.

    Args:
        stated: Shape (n,), stated confidence of each draw.
        outcome: Shape (n,), outcome of each draw, in [0, 1].
        user: Shape (n,), user of each draw, as an index into `user_keys`.
        user_keys: Shape (n_users,), keys of the users.
        buckets: Maximum number of buckets, at least 1.
        seed: Any integer.
    """
    if not len(stated):
        return ConfidenceCalibration((), math.nan, math.nan)
    place, found = equal_mass_buckets(stated, buckets), []
    for number in range(int(place.max()) + 1):
        mine = place == number
        users, own = np.unique(user[mine], return_inverse=True)
        sums = np.bincount(own, outcome[mine], len(users)).astype(np.float64)
        observed = mean_over_pairs(sums, np.bincount(own).astype(np.float64), user_keys[users], seed=seed)
        found.append(Bucket(int(mine.sum()), float(stated[mine].mean()), observed))
    distance = sum(bucket.draws * abs(bucket.stated - bucket.observed.value) for bucket in found) / len(stated)
    mean, happened = float(stated.mean()), float(outcome.mean())
    return ConfidenceCalibration(tuple(found), distance / mean, mean / happened if happened > 0 else math.nan)
