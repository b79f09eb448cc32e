"""Comparisons of a study as values: read from the JSON, looked up by name, classified by their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scalr.studies.findings.wording import decimals_for, direction, interval_text, number, percent

Outcome = Literal["helped", "no_gain", "not_clear", "harmed"]

METRIC = "normalized_entropy"
BASELINE = "real_only"
ARM = "scalr"

NEGLIGIBLE = 0.001
"""A gain below 0.1 % counts as none: less than half of the −0.25 % that the paper reports."""


@dataclass(frozen=True, slots=True)
class Change:
    """One comparison of a study whose change is a number.

    Attributes:
        arm: Name of the arm.
        baseline: Name of the arm that it is compared with.
        segment: "all", "warm", "cold" or "naturally_cold".
        metric: Name of the metric.
        change: Relative change of the metric, arm against baseline; −0.01 is one percent lower.
        interval: Its interval, ascending; None if the study has none.
        level: Level of the interval, in (0, 1).
        p_value: In [0, 1]; None if the study has none.
    """

    arm: str
    baseline: str
    segment: str
    metric: str
    change: float
    interval: tuple[float, float] | None
    level: float
    p_value: float | None

    @property
    def text(self) -> str:
        """Return the change and its interval in words: "−1.11 % (95 % interval −1.30 % to −0.92 %)"."""
        digits = decimals_for(self.change)
        middle = percent(self.change, signed=True, digits=digits)
        if self.interval is None:
            return f"{middle} (no interval)"
        return f"{middle} ({percent(self.level, digits=0)} interval {interval_text(self.interval, digits=digits)})"


def read_changes(study: Mapping[str, Any] | None) -> tuple[Change, ...]:
    """Return the comparisons whose relative change is a number, in their order."""
    changes = []
    for row in (study or {}).get("comparisons") or ():
        change = number(row.get("relative_change"))
        if change is None:
            continue
        ends = [number(end) for end in row.get("interval") or ()]
        finite = [end for end in ends if end is not None]
        interval = (min(finite), max(finite)) if len(ends) == len(finite) == 2 else None
        changes.append(
            Change(
                arm=str(row.get("arm")),
                baseline=str(row.get("baseline")),
                segment=str(row.get("segment") or "all"),
                metric=str(row.get("metric")),
                change=change,
                interval=interval,
                level=number(row.get("level")) or 0.95,
                p_value=number(row.get("p_value")),
            )
        )
    return tuple(changes)


def find(
    changes: Sequence[Change], arm: str, *, baseline: str = BASELINE, segment: str = "all", metric: str = METRIC
) -> Change | None:
    """Return the first comparison with these names, or None."""
    for change in changes:
        if (change.arm, change.baseline, change.segment, change.metric) == (arm, baseline, segment, metric):
            return change
    return None


def classify(change: Change) -> Outcome:
    """Classify a comparison by its interval alone.

    "helped" and "harmed" need an interval that excludes zero; "no_gain" an interval that rules out a gain of 0.1 %
    without showing harm. Everything else is "not_clear", and so is a metric with no better side.
    """
    side = direction(change.metric)
    if change.interval is None or side == 0:
        return "not_clear"
    low, high = change.interval if side < 0 else (-change.interval[1], -change.interval[0])
    if high < 0:
        return "helped"
    if low > 0:
        return "harmed"
    return "no_gain" if low > -NEGLIGIBLE else "not_clear"


def seeds_of(study: Mapping[str, Any] | None) -> int | None:
    """Return the number of seeds of a study, or None if it is unknown."""
    seeds = ((study or {}).get("protocol") or {}).get("seeds")
    if isinstance(seeds, Sequence) and not isinstance(seeds, str):
        return len(seeds)
    if (n_seeds := number(seeds)) is not None:
        return int(n_seeds)
    runs = [
        len(values.get("per_seed") or ())
        for arm in ((study or {}).get("arms") or {}).values()
        for values in arm.values()
    ]
    return max(runs, default=0) or None


def calibration_of(study: Mapping[str, Any], arm: str) -> float | None:
    """Return an arm's mean calibration ratio, ideal 1; None if the study has none."""
    values = ((study.get("arms") or {}).get(arm) or {}).get("calibration_ratio") or {}
    return number(values.get("mean"))


def calibration_shift(changes: Sequence[Change], study: Mapping[str, Any]) -> float | None:
    """Return the relative change of the calibration ratio, SCALR against real events only; None if unknown."""
    change = find(changes, ARM, metric="calibration_ratio")
    if change is not None:
        return change.change
    ours, real = calibration_of(study, ARM), calibration_of(study, BASELINE)
    return None if ours is None or not real else ours / real - 1.0
