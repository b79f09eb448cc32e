"""Relative change of a metric between two arms: t intervals over seeds, bootstrap intervals over users."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalr.evaluation.kernels.bootstrap import resampled_ratios
from scalr.foundation import Floats, Keys, SchemaError, rng

LEVEL = 0.95
RESAMPLES = 2000  # leaves 50 resamples in each tail of a 95 % interval


@dataclass(frozen=True, slots=True)
class RelativeChange:
    """Relative difference between an arm and its baseline; NaN where it is undefined.

    Attributes:
        relative_change: arm / baseline - 1; -0.01 means one percent lower.
        interval: Lower and upper end; NaN with fewer than two seeds or users.
        level: Confidence level of the interval, in (0, 1).
        p_value: Two-sided p-value of the hypothesis of no change.
        n: Number of seeds or users.
    """

    relative_change: float
    interval: tuple[float, float]
    level: float
    p_value: float
    n: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields of a comparison in `study.json`; null for NaN."""
        numbers = [None if math.isnan(x) else x for x in (self.relative_change, *self.interval, self.p_value)]
        return {"relative_change": numbers[0], "interval": numbers[1:3], "level": self.level, "p_value": numbers[3]}


def paired_relative_change(arm: Floats, baseline: Floats, *, level: float = LEVEL) -> RelativeChange:
    """Average the relative change over seeds, with a t interval.

    Args:
        arm: Shape (n_seeds,), a metric of the arm; seeds with NaN in either array are ignored.
        baseline: Shape (n_seeds,), the metric of the baseline for the same seeds in the same order.
        level: Confidence level of the interval, in (0, 1).

    Raises:
        SchemaError: If shapes differ.
    """
    change = _ratios(np.asarray(arm, np.float64), np.asarray(baseline, np.float64)) - 1.0
    change = change[np.isfinite(change)]
    n = len(change)
    if n < 2:
        return RelativeChange(float(change[0]) if n else math.nan, (math.nan, math.nan), level, math.nan, n)
    mean, error = float(change.mean()), float(change.std(ddof=1)) / math.sqrt(n)
    half = student_t_quantile(0.5 + level / 2, n - 1) * error
    statistic = abs(mean) / error if error > 0 else (math.inf if mean else 0.0)
    p_value = 2 * student_t_cdf(-statistic, n - 1)
    return RelativeChange(mean, (mean - half, mean + half), level, p_value, n)


def bootstrap_relative_change(
    arm: Floats, baseline: Floats, user_keys: Keys, *, seed: int = 0, level: float = LEVEL, resamples: int = RESAMPLES
) -> RelativeChange:
    """Compare two arms of the same seed by resampling users, with the same weights for both arms.

    The change is sum(arm) / sum(baseline) - 1, so `arm` holds per-user *sums* (log loss) or per-user values that
    are averaged over users (NDCG). The bootstrap weights are Poisson(1). The interval is the percentile interval.

    Args:
        arm: Shape (n_users,), a sum or a value per user.
        baseline: Shape (n_users,), the same for the baseline, with the same users in the same order.
        user_keys: Shape (n_users,), keys of the users; the result does not depend on their order.
        seed: Any integer.
        level: Confidence level of the interval, in (0, 1).
        resamples: Number of bootstrap resamples.

    Raises:
        SchemaError: If shapes differ.
    """
    above, below = np.asarray(arm, np.float64), np.asarray(baseline, np.float64)
    _refuse_shapes(above, below)
    change = float(_ratios(above.sum(keepdims=True), below.sum(keepdims=True))[0]) - 1.0
    stream = rng.stream(seed, rng.Purpose.BOOTSTRAP)
    drawn = resampled_ratios(above, below, user_keys, stream, resamples) - 1.0
    drawn = drawn[np.isfinite(drawn)]
    if len(above) < 2 or len(drawn) == 0:
        return RelativeChange(change, (math.nan, math.nan), level, math.nan, len(above))
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2])
    tail = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    p_value = min(2 * (tail + 1) / (len(drawn) + 1), 1.0)
    return RelativeChange(change, (float(low), float(high)), level, p_value, len(above))


def student_t_cdf(t: float, degrees: float) -> float:
    """Return P(T <= t) for Student's t distribution with `degrees` > 0 degrees of freedom."""
    if math.isinf(t):
        return 0.0 if t < 0 else 1.0
    total = degrees + t * t
    tail = 0.5 * _incomplete_beta(degrees / 2, 0.5, degrees / total, t * t / total)
    return tail if t < 0 else 1.0 - tail


def student_t_quantile(probability: float, degrees: float) -> float:
    """Return t with P(T <= t) = `probability`, in (0, 1), by bisection."""
    if probability < 0.5:
        return -student_t_quantile(1 - probability, degrees)
    low, high = 0.0, 1.0
    while student_t_cdf(high, degrees) < probability:
        high *= 2
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if student_t_cdf(middle, degrees) < probability else (low, middle)
    return (low + high) / 2


def _incomplete_beta(a: float, b: float, x: float, y: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), by Lentz's continued fraction (DLMF 8.17.22).

    `y` is 1 - x, a separate argument that avoids cancellation for x close to 1.
    """
    if x <= 0.0 or y <= 0.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges slowly here, so use the symmetry
        return 1.0 - _incomplete_beta(b, a, y, x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(y)) / a
    tiny = 1e-300
    d = 1.0 / _nonzero(1 - (a + b) * x / (a + 1), tiny)
    c, value = 1.0, d
    for m in range(1, 500):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _nonzero(1 + term * d, tiny)
            c = _nonzero(1 + term / c, tiny)
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * value


def _nonzero(x: float, tiny: float) -> float:
    return x if abs(x) > tiny else tiny


def _ratios(arm: Floats, baseline: Floats) -> Floats:
    _refuse_shapes(arm, baseline)
    missing = np.full(arm.shape, np.nan)
    ratios: Floats = np.divide(arm, baseline, out=missing, where=baseline != 0)
    return ratios


def _refuse_shapes(arm: Floats, baseline: Floats) -> None:
    if arm.shape != baseline.shape or arm.ndim != 1:
        raise SchemaError(
            f"an arm of shape {arm.shape} cannot be paired with a baseline of shape {baseline.shape}",
            expected="two arrays of shape (n,), in the same order",
            fix="compare arms of the same seeds or the same users",
        )
