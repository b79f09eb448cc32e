"""SCALR against other methods for the same task, in words: which method wins, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scalr.studies.findings.comparisons import ARM, BASELINE, METRIC, Change, classify, find
from scalr.studies.findings.wording import (
    METHODS,
    arm_name,
    direction,
    listed,
    metric_name,
    number,
    percent,
    segment_name,
)

Winner = Literal["scalr", "nobody", "method"]
RANKING = "ndcg"
RANKED = (BASELINE, ARM)  # arms whose ranked lists are compared with popularity


@dataclass(frozen=True, slots=True)
class MethodComparison:
    """SCALR against one method, on one metric of one segment.

    Attributes:
        method: Name of the other arm.
        winner: "scalr" or "method" if the interval of the direct comparison excludes zero, else "nobody".
        direct: SCALR against the method.
    """

    method: str
    winner: Winner
    direct: Change


def method_comparisons(changes: Sequence[Change]) -> tuple[MethodComparison, ...]:
    """Return every direct comparison of SCALR with a method, on normalized entropy and NDCG, methods in order."""
    metrics = [METRIC, *dict.fromkeys(change.metric for change in changes if change.metric.startswith(RANKING))]
    segments = dict.fromkeys(change.segment for change in changes)
    comparisons = []
    for method in METHODS:
        for metric in metrics:
            for segment in segments:
                direct = find(changes, ARM, baseline=method, segment=segment, metric=metric)
                if direct is not None:
                    comparisons.append(MethodComparison(method, _winner(direct), direct))
    return tuple(comparisons)


def _winner(direct: Change) -> Winner:
    outcome = classify(direct)
    return "scalr" if outcome == "helped" else "method" if outcome == "harmed" else "nobody"


def method_findings(changes: Sequence[Change]) -> list[str]:
    """State which methods SCALR beats or cannot be distinguished from, on prediction error of all users."""
    main = [one for one in method_comparisons(changes) if (one.direct.metric, one.direct.segment) == (METRIC, "all")]
    lines = []
    for winner, words in (("scalr", "SCALR predicts better than"), ("nobody", "SCALR cannot be distinguished from")):
        if names := [arm_name(one.method) for one in main if one.winner == winner]:
            lines.append(f"{words} these other methods: {listed(names)}." if len(names) > 1 else f"{words} {names[0]}.")
    return lines


def popularity_warnings(study: Mapping[str, Any]) -> list[str]:
    """State where ranking by popularity, which needs no model, beats the models of the study."""
    popularity = (study.get("references") or {}).get("popularity") or {}
    lines = []
    for metric in (name for name in popularity if name.startswith(RANKING)):
        bar = number((popularity[metric] or {}).get("mean"))
        means = {arm: number(((study.get("arms") or {}).get(arm) or {}).get(metric, {}).get("mean")) for arm in RANKED}
        worse = {arm: mean for arm, mean in means.items() if bar is not None and mean is not None and mean < bar}
        if worse:
            lines.append(
                f"Ranking everybody's items by popularity alone has a {metric_name(metric)} of {bar:.4f}, higher than "
                f"{listed([f'{arm_name(arm)} ({mean:.4f})' for arm, mean in worse.items()])}: "
                "do not rank by such a model."
            )
    return lines


def method_warnings(changes: Sequence[Change]) -> list[str]:
    """State for each method where it wins, and by how much."""
    lines = []
    for method in METHODS:
        places = [_place(one) for one in method_comparisons(changes) if one.method == method and one.winner == "method"]
        if places:
            lines.append(f"{arm_name(method)} does better than SCALR: {'; '.join(places)}.")
    return lines


def method_steps(changes: Sequence[Change]) -> list[str]:
    """Advise the methods that predict better for all users."""
    names = [
        arm_name(one.method)
        for one in method_comparisons(changes)
        if (one.direct.metric, one.direct.segment, one.winner) == (METRIC, "all", "method")
    ]
    return [f"On these logs consider {listed(names)} as well: predictions were better."] if names else []


def _place(comparison: MethodComparison) -> str:
    """Write where a method wins: "NDCG@20 of cold users (SCALR −12.0 %)"."""
    direct = comparison.direct
    words = f"{metric_name(direct.metric)} of {segment_name(direct.segment).lower()}"
    side = "higher" if direction(direct.metric) < 0 else "lower"
    return f"{words} (SCALR {percent(abs(direct.change))} {side})"
