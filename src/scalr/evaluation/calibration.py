"""Calibrate predicted probabilities on later real rows: by a shift of the log-odds or by isotonic regression.

The base rate changes when positives are added, when negatives are subsampled, and over time. Ranking does not depend
on the base rate, but bids and budgets do. A calibration is fitted on real rows of the validation period only and is
applied to later rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from scalr.foundation import Floats, LeakError, SchemaError, require_extra

EXTRA = "models"
FLOOR = 1e-12  # keeps log-odds finite


class Calibration(Protocol):
    """A non-decreasing map from predicted to calibrated probabilities."""

    def apply(self, probabilities: Floats) -> Floats:
        """Return calibrated P(label = 1), shape (n,)."""


@dataclass(frozen=True, slots=True)
class LogOddsShift:
    """Adds a constant to the log-odds.

    Attributes:
        shift: The constant; a positive value raises all probabilities.
    """

    shift: float

    def apply(self, probabilities: Floats) -> Floats:
        """Return calibrated probabilities, shape (n,)."""
        p = np.clip(probabilities, FLOOR, 1 - FLOOR)
        shifted: Floats = p / (p + (1 - p) * np.exp(-self.shift))
        return shifted


@dataclass(frozen=True, slots=True, eq=False)
class IsotonicSteps:
    """A non-decreasing, piecewise linear function.

    Attributes:
        stated: Shape (n,), predicted probabilities at the knots, ascending.
        true: Shape (n,), calibrated probabilities at the knots, ascending, in (0, 1).
    """

    stated: Floats
    true: Floats

    def apply(self, probabilities: Floats) -> Floats:
        """Return calibrated probabilities, shape (n,); they are constant outside the range of the knots."""
        found: Floats = np.interp(probabilities, self.stated, self.true)
        return found


def log_odds_shift(trained_rate: float, true_rate: float) -> LogOddsShift:
    """Return the correction for a model that was trained at one base rate and predicts at another.

    The correction is exact if sampling (or weighting) of rows depended on their labels only, not on their features.
    All odds then change by the same factor: the odds of the true rate divided by the odds of the trained rate.

    Args:
        trained_rate: Share of positives, by weight, among the rows that the predicting head was trained on, in (0, 1).
        true_rate: Share of positives among the rows that the model predicts, in (0, 1).

    Raises:
        SchemaError: If a rate is not strictly between 0 and 1.

    References:
        King and Zeng 2001, Logistic regression in rare events data, sec. 4.1 (prior correction).
        Elkan 2001, The foundations of cost-sensitive learning, theorem 2.

    Example:
        >>> shift = log_odds_shift(0.5, 0.01)  # trained on as many positives as negatives
        >>> round(float(shift.apply(np.array([0.5]))[0]), 6)
        0.01
    """
    for name, rate in (("trained", trained_rate), ("true", true_rate)):
        if not 0.0 < rate < 1.0:
            raise SchemaError(
                f"the {name} base rate is {rate:g}",
                expected="a rate above 0 and below 1",
                fix="use a log or period with labels of both kinds",
            )
    return LogOddsShift(float(np.log(true_rate / (1 - true_rate)) - np.log(trained_rate / (1 - trained_rate))))


def fit_log_odds_shift(
    labels: npt.NDArray[np.int8], *, trained_rate: float, is_synthetic: npt.NDArray[np.bool_]
) -> LogOddsShift:
    """Return the `log_odds_shift` from `trained_rate` to the base rate of real rows.

    Args:
        labels: Shape (n,), 0 or 1, both present.
        trained_rate: See `log_odds_shift`.
        is_synthetic: Shape (n,), whether a row is synthetic; synthetic rows are refused.

    Raises:
        LeakError: If a row is synthetic.
        SchemaError: If shapes differ, `labels` holds one class only, or `trained_rate` is not in (0, 1).
    """
    _refuse_synthetic(is_synthetic, len(labels))
    _refuse_one_kind(labels)
    return log_odds_shift(trained_rate, float(np.mean(labels)))


def fit_isotonic(
    labels: npt.NDArray[np.int8], probabilities: Floats, *, is_synthetic: npt.NDArray[np.bool_]
) -> IsotonicSteps:
    """Fit the non-decreasing function from predictions to labels with the least squared error on real rows.

    Calibrated probabilities are clipped to [0.5 / n, 1 - 0.5 / n], so every loss is finite. The fit needs hundreds of
    positives. With few positives its steps are wide, and different predictions get the same probability.

    Args:
        labels: Shape (n,), 0 or 1, both present.
        probabilities: Shape (n,), predictions for these rows by a model that was not trained on them.
        is_synthetic: Shape (n,), whether a row is synthetic; synthetic rows are refused.

    Raises:
        LeakError: If a row is synthetic.
        SchemaError: If shapes differ or `labels` holds one class only.
        MissingExtraError: If the extra `models` (scikit-learn) is not installed.
    """
    _refuse_synthetic(is_synthetic, len(labels))
    _refuse_one_kind(labels)
    half = 0.5 / len(labels)
    isotonic = require_extra("sklearn.isotonic", EXTRA)
    fitted = isotonic.IsotonicRegression(y_min=half, y_max=1 - half, out_of_bounds="clip")
    fitted.fit(probabilities.astype(np.float64), labels.astype(np.float64))
    return IsotonicSteps(np.asarray(fitted.X_thresholds_, np.float64), np.asarray(fitted.y_thresholds_, np.float64))


def _refuse_synthetic(is_synthetic: npt.NDArray[np.bool_], n: int) -> None:
    if len(is_synthetic) != n:
        raise SchemaError(
            f"there are {len(is_synthetic)} marks for {n} rows",
            expected="one mark per row, true where it is synthetic",
            fix="give is_synthetic for the same rows as the labels",
        )
    if is_synthetic.any():
        raise LeakError(
            f"{int(is_synthetic.sum())} of {n} rows for calibration are synthetic",
            expected="real rows only: synthetic labels carry no information about the conversion rate",
            fix="calibrate on impressions of the validation period",
        )


def _refuse_one_kind(labels: npt.NDArray[np.int8]) -> None:
    if len(labels) == 0 or labels.min() == labels.max():
        raise SchemaError(
            f"calibration has {len(labels)} rows of one label only",
            expected="rows with label 0 and 1",
            fix="calibrate on a longer period",
        )
