"""Formats of numbers and names, shared by the page, the charts and the verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

CONTROLS = ("random_items", "popular_items", "shuffled_users", "oversampled_real")
"""Arms that must not win, in the order of display."""

METHODS = ("pooled", "item_knn", "distillation", "collective", "emcdr")
"""Conventional methods for the same task, in the order of display."""

ARM_ORDER = ("real_only", "scalr", "top1", *METHODS, *CONTROLS)

ARM_NAMES = {
    "real_only": "Real events only",
    "scalr": "SCALR",
    "top1": "Likeliest item (top-1)",
    "random_items": "Random items",
    "popular_items": "Popular items",
    "shuffled_users": "Shuffled users",
    "oversampled_real": "Repeated real events",
    "pooled": "Pooled training",
    "item_knn": "Item-kNN across domains",
    "distillation": "Distillation",
    "collective": "Collective factorisation",
    "emcdr": "EMCDR",
}

METRIC_NAMES = {
    "normalized_entropy": "Normalized entropy",
    "log_loss": "Log loss",
    "ndcg": "NDCG",
    "recall": "Recall",
    "auc": "AUC",
    "calibration_ratio": "Calibration ratio",
    "item_coverage": "Item coverage",
}

SEGMENT_NAMES = {
    "all": "All users",
    "warm": "Warm users",
    "cold": "Cold users",
    "naturally_cold": "Naturally cold users",
}

NATURALLY_COLD = "no target event before the test period, not even a hidden one"
"""Who naturally cold users are; the history of the other cold users was hidden for the study."""

MORE_DECIMALS = 2  # extra decimals, at most, of interval ends that would round to zero

_DIRECTIONS = {"normalized_entropy": -1, "log_loss": -1, "auc": 1, "recall": 1, "ndcg": 1}


def arm_name(arm: str) -> str:
    """Return the display name of an arm; an unknown arm keeps its name, with spaces."""
    return ARM_NAMES.get(arm, arm.replace("_", " "))


def metric_name(metric: str) -> str:
    """Return the display name of a metric, with its list length: `ndcg@20` is "NDCG@20"."""
    base, at, top = metric.partition("@")
    return METRIC_NAMES.get(base, base.replace("_", " ")) + at + top


def segment_name(segment: str) -> str:
    """Return the display name of a segment of users."""
    return SEGMENT_NAMES.get(segment, segment.replace("_", " "))


def in_order(names: Iterable[str], order: Iterable[str]) -> list[str]:
    """Return distinct `names`: first names in `order`, then the others in their original order."""
    found = dict.fromkeys(names)
    known = [name for name in order if name in found]
    return known + [name for name in found if name not in known]


def direction(metric: str) -> int:
    """Return -1 where lower is better, 1 where higher is better, and 0 for all other metrics."""
    return _DIRECTIONS.get(metric.partition("@")[0], 0)


def number(value: Any) -> float | None:
    """Return a finite float, or None for anything else (None, NaN, infinity, text, booleans)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def percent(share: float, *, signed: bool = False, digits: int | None = None) -> str:
    """Format a share as a percentage, `-0.0111` as "−1.11 %".

    Args:
        share: A fraction; 1 is 100 %.
        signed: Write a plus sign before positive numbers.
        digits: Number of decimals; the default shows about three significant digits.
    """
    scaled = 100.0 * share
    text = f"{abs(scaled):.{_decimals(scaled) if digits is None else digits}f}"
    is_zero = not text.strip("0.")
    sign = "" if is_zero else "−" if scaled < 0 else "+" if signed else ""
    return f"{sign}{text} %"


def interval_text(interval: tuple[float, float], *, digits: int | None = None) -> str:
    """Format an interval of relative changes: "−1.30 % to −0.92 %"."""
    return " to ".join(_end(end, digits) for end in interval)


def bracket(interval: tuple[float, float], *, digits: int) -> str:
    """Format an interval for a narrow column, without percent signs: "[−1.30, −0.92]"."""
    return "[" + ", ".join(_end(end, digits).removesuffix(" %") for end in interval) + "]"


def _end(share: float, digits: int | None) -> str:
    """Format an end of an interval, with more decimals if it would round to zero, so that its sign is visible."""
    least = decimals_for(share) if digits is None else digits
    texts = [percent(share, signed=True, digits=least + more) for more in range(MORE_DECIMALS + 1)]
    return next((text for text in texts if text[0] in "−+"), texts[0])


def decimals_for(share: float) -> int:
    """Return the number of decimals that `percent` uses by default, so that an interval matches its midpoint."""
    return _decimals(100.0 * share)


def _decimals(scaled: float) -> int:
    size = abs(scaled)
    return 2 if size < 9.995 else 1 if size < 99.95 else 0


def p_value(value: float) -> str:
    """Format a p-value: "0.032", or "< 0.001" for smaller values."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def count(value: float) -> str:
    """Format a count with separators between thousands: "1,234,567"."""
    return f"{round(value):,}"


def compact(value: float) -> str:
    """Format a count in at most four characters and a unit: "1.23M"."""
    size = float(abs(value))
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if size >= 0.9995 * unit:
            scaled = value / unit
            return f"{scaled:.{2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0}f}{name}"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.3g}"


def decimal(value: float) -> str:
    """Format a metric or a setting: four decimals at most, no trailing zeros, a true minus sign."""
    size = abs(value)
    text = (
        f"{value:,.0f}"
        if float(value).is_integer() and size < 1e15
        else f"{value:.4f}"
        if 1e-3 <= size < 1e6
        else f"{value:.4g}"
    )
    if "." in text and "e" not in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−", 1) if value < 0 else text


def seconds(value: float) -> str:
    """Format a duration: "0.04 s", "12.3 s", "2 min 5 s", "1 h 3 min"."""
    if value < 9.995:
        return f"{value:.2f} s"
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def privacy_sentence(privacy: Mapping[str, Any] | None) -> str | None:
    """Return a sentence on how many other users are behind the synthetic events; None without figures."""
    if not privacy:
        return None
    shares = {least: share for least, value in privacy["share_below"].items() if (share := number(value)) is not None}
    if not shares:
        return None
    words = listed([f"{percent(share)} rest on fewer than {least}" for least, share in shares.items()])
    said = f"Of the synthetic events, {words} other users."
    return f"{said} At least {privacy['k']} other users are behind every event." if privacy["k"] > 1 else said


def listed(words: list[str]) -> str:
    """Join words as prose: "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
