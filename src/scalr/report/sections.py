"""Rows of the page, from the plain data of a run."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from scalr.foundation import Json
from scalr.report.cells import UNKNOWN, change_cell, heading, number_text, setting_text, text_of
from scalr.studies import (
    ARM,
    ARM_ORDER,
    BASELINE,
    METRIC_NAMES,
    SEGMENT_NAMES,
    Change,
    Verdict,
    arm_name,
    bracket,
    compact,
    count,
    decimal,
    decimals_for,
    find,
    in_order,
    interval_text,
    metric_name,
    number,
    percent,
    seconds,
    segment_name,
)

USING_STAGES = frozenset({"train", "evaluate", "study"})
"""Stages that use synthetic events instead of making them."""

STEP_NAMES = {
    "drop_real": "New to the user",
    "filter": "Passed the filter",
    "deduplicate": "Without duplicates",
    "align": "Aligned",
    "cap": "Within caps",
}

BUCKETS_OF = {"value": "Item value", "popularity": "Item popularity", "time": "Time"}

NOT_IN_TABLE = frozenset({"log_loss"})
"""Only in the list of all comparisons: its relative change equals that of normalized entropy."""

PAIR_ROWS = {
    "role": "Role",
    "events": "Events",
    "users": "Users",
    "items": "Items",
    "interactions": "Distinct user–item pairs",
    "repeated_share": "Events that repeat a pair",
    "positive_share": "Events with label 1",
    "density": "Density",
    "time_range": "Time",
}


def funnel_steps(stages: Mapping[str, Json] | None) -> list[tuple[str, int]]:
    """Return (name, events): source events, draws, then every later stage that removes events.

    Empty without a stage "sample".
    """
    steps: list[tuple[str, int]] = []
    for name, stage in (stages or {}).items():
        rows_in, rows_out = number(stage.get("rows_in")), number(stage.get("rows_out"))
        if rows_in is None or rows_out is None:
            continue
        if name == "sample":
            steps = [("Source events", int(rows_in)), ("Drawn", int(rows_out))]
        elif steps and name not in USING_STAGES and rows_in == steps[-1][1] and rows_out < rows_in:
            steps.append((STEP_NAMES.get(name, heading(name)), int(rows_out)))
    return steps


def stage_rows(stages: Mapping[str, Json] | None) -> list[tuple[str, ...]]:
    """Return one row per stage: its name, rows in, rows out, elapsed time, processor time."""
    return [
        (
            heading(name),
            *(number_text(stage.get(key), count) for key in ("rows_in", "rows_out")),
            *(number_text(stage.get(key), seconds) for key in ("wall_seconds", "cpu_seconds")),
        )
        for name, stage in (stages or {}).items()
    ]


def cards(
    steps: Sequence[tuple[str, int]],
    pair: Json | None,
    shares: Mapping[str, float],
    stages: Mapping[str, Json] | None,
    verdict: Verdict,
) -> list[dict[str, str]]:
    """Return the key figures that are known, each with `value`, `name` and an explaining `note`."""
    figures: list[dict[str, str]] = []

    def add(value: str, name: str, note: str = "") -> None:
        figures.append({"value": value, "name": name, "note": note})

    for segment, _, change in verdict.segments:
        if segment == "all" and len(verdict.segments) == 1:
            note = (
                f"against real events only; {percent(change.level, digits=0)} interval {interval_text(change.interval)}"
                if change.interval
                else "no interval"
            )
            add(percent(change.change, signed=True), "Prediction error", note)
    if steps:
        add(_short(steps[-1][1]), "Synthetic events", f"from {_short(steps[0][1])} source events")
    if "sample" in shares:
        note = f"likeliest item only: {percent(shares['top1'], digits=1)}" if "top1" in shares else "at least once"
        add(percent(shares["sample"], digits=1), "Items reached", note)
    overlap = number((pair or {}).get("overlap_users"))
    if overlap is not None:
        add(_short(overlap), "Overlap users", "active in both domains")
    making = [stage for name, stage in (stages or {}).items() if name not in USING_STAGES]
    walls = [wall for stage in making if (wall := number(stage.get("wall_seconds"))) is not None]
    if walls:
        add(seconds(sum(walls)), "Time", "to make the synthetic events")
    return figures


def _short(value: float) -> str:
    return count(value) if value < 100_000 else compact(value)


def known_shares(coverage: Mapping[str, Any] | None) -> dict[str, float]:
    """Return the shares that are numbers, sampled events first."""
    shares = {name: share for name, value in (coverage or {}).items() if (share := number(value)) is not None}
    return {name: shares[name] for name in in_order(shares, ("sample", "top1", "real"))}


def known_curves(curves: Mapping[str, Sequence[float]] | None) -> dict[str, list[float]]:
    """Return the curves whose points are all numbers, and which have any."""
    complete = {
        name: [share for share in map(number, curve) if share is not None]
        for name, curve in (curves or {}).items()
        if curve and all(number(share) is not None for share in curve)
    }
    return {name: complete[name] for name in in_order(complete, ("sample", "top1", "real"))}


def alignment_rows(alignment: Sequence[Json] | None) -> list[dict[str, Any]]:
    """Return one row per marginal: name, labels of the edges, shares, and distances as text."""
    rows = []
    for marginal in alignment or ():
        by = str(marginal.get("by"))
        shares = {
            name: [number(share) or 0.0 for share in marginal.get(name) or ()] for name in ("real", "before", "after")
        }
        before, after = number(marginal.get("total_variation_before")), number(marginal.get("total_variation_after"))
        moves = [number(marginal.get(f"wasserstein_{when}")) for when in ("before", "after")]
        rows.append(
            {
                "by": by,
                "name": BUCKETS_OF.get(by, heading(by)),
                "edges": _edge_labels(marginal.get("edges") or (), by, len(shares["real"])),
                **shares,
                "is_drawable": len(shares["real"]) > 0 and len({len(values) for values in shares.values()}) == 1,
                "before_text": "" if before is None else percent(before, digits=1),
                "after_text": "" if after is None else percent(after, digits=1),
                "moves": "" if None in moves else " → ".join(decimal(move) for move in moves if move is not None),
            }
        )
    return rows


def _edge_labels(edges: Sequence[Any], by: str, buckets: int) -> list[str]:
    """Return n + 1 labels of edges. Inner edges alone get open ends; edges of another number get no labels."""
    labels = [_edge(edge, by) for edge in edges]
    if len(labels) == buckets - 1:
        labels = ["", *labels, ""]
    return labels if len(labels) == buckets + 1 else []


def _edge(edge: Any, by: str) -> str:
    value = number(edge)
    if value is None:
        return edge[:10] if isinstance(edge, str) else ""
    if by == "time" and abs(value) > 1e14:
        return datetime.fromtimestamp(value / 1e6, tz=UTC).date().isoformat()
    return compact(value) if abs(value) >= 1000 else f"{value:.3g}"


def metric_tables(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Return one table per segment: metrics in columns, arms in rows, changes against real events only."""
    against_real = [change for change in changes if change.baseline == BASELINE]
    tables = []
    for segment in in_order((change.segment for change in against_real), SEGMENT_NAMES):
        own = [change for change in against_real if change.segment == segment]
        metrics = [
            metric for metric in _metrics_in_order(change.metric for change in own) if metric not in NOT_IN_TABLE
        ]
        rows = [
            {
                "arm": arm_name(arm),
                "is_ours": arm == ARM,
                "cells": [change_cell(find(own, arm, segment=segment, metric=metric)) for metric in metrics],
            }
            for arm in in_order((change.arm for change in own), ARM_ORDER)
        ]
        tables.append(
            {"segment": segment_name(segment), "metrics": [metric_name(metric) for metric in metrics], "rows": rows}
        )
    return tables


def _metrics_in_order(metrics: Iterator[str] | Sequence[str]) -> list[str]:
    order = list(METRIC_NAMES)
    known = list(dict.fromkeys(metrics))
    return sorted(
        known, key=lambda metric: order.index(base) if (base := metric.partition("@")[0]) in order else len(order)
    )


def forest_changes(changes: Sequence[Change]) -> dict[str, list[Change]]:
    """Return changes of normalized entropy against real events only, by segment, one per arm, in the order of arms."""
    by_segment: dict[str, list[Change]] = {}
    for segment in in_order((change.segment for change in changes), SEGMENT_NAMES):
        own = [find(changes, arm, segment=segment) for arm in in_order((change.arm for change in changes), ARM_ORDER)]
        if known := [change for change in own if change is not None]:
            by_segment[segment] = known
    return by_segment


def mean_table(study: Json | None) -> dict[str, Any] | None:
    """Return the mean of each metric over seeds, by arm; None without metrics."""
    arms = (study or {}).get("arms") or {}
    metrics = _metrics_in_order([metric for values in arms.values() for metric in values])
    if not metrics:
        return None
    popularity = ((study or {}).get("references") or {}).get("popularity")
    named = [(arm_name(arm), arms[arm]) for arm in in_order(arms, ARM_ORDER)]
    named += [("Popularity, no model", popularity)] if popularity else []
    rows = [
        (name, [number_text((values.get(metric) or {}).get("mean"), "{:.4f}".format) for metric in metrics])
        for name, values in named
    ]
    return {"metrics": [metric_name(metric) for metric in metrics], "rows": rows}


def comparison_rows(changes: Sequence[Change]) -> list[tuple[str, ...]]:
    """Return one row per comparison: arm, baseline, segment, metric, change, interval, p-value."""
    return [
        (
            arm_name(change.arm),
            arm_name(change.baseline),
            segment_name(change.segment),
            metric_name(change.metric),
            percent(change.change, signed=True),
            bracket(change.interval, digits=decimals_for(change.change)) if change.interval else UNKNOWN,
            UNKNOWN if change.p_value is None else "< 0.001" if change.p_value < 0.001 else f"{change.p_value:.3f}",
        )
        for change in changes
    ]


def example_rows(examples: Sequence[Json] | None) -> list[dict[str, Any]]:
    """Return one row per example of a translation; an item without a title shows its id."""
    rows = []
    for example in examples or ():
        confidence, support = number(example.get("confidence")), number(example.get("support"))
        row: dict[str, Any] = {
            "user": text_of(example.get("user")),
            "domain": text_of(example.get("source_domain")) or "source",
        }
        for role in ("source", "target"):
            title, identity = html.unescape(text_of(example.get(f"{role}_title"))), text_of(example.get(f"{role}_item"))
            row[role], row[f"{role}_id"] = title or identity or UNKNOWN, identity if title else ""
        row["confidence"] = "" if confidence is None else percent(confidence, digits=1)
        lift = number(example.get("lift"))
        row["lift"] = "" if lift is None else f"{lift:,.0f}" if lift >= 10 else f"{lift:.1f}"
        row["support"] = "" if support is None else count(support)
        rows.append(row)
    return rows


def log_table(pair: Json | None) -> dict[str, Any] | None:
    """Return facts in rows and domains in columns, and a sentence on the overlap; None if neither is known."""
    domains = list((pair or {}).get("domains") or ())
    overlap = number((pair or {}).get("overlap_users"))
    if not domains and overlap is None:
        return None
    keys = in_order((key for domain in domains for key in domain if key != "name"), PAIR_ROWS)
    known = [key for key in keys if any(domain.get(key) is not None for domain in domains)]
    rows = [(PAIR_ROWS.get(key, heading(key)), [_fact(key, domain.get(key)) for domain in domains]) for key in known]
    shares = [
        f"{percent(overlap / users, digits=1)} of the users of {text_of(domain.get('name')) or 'a domain'}"
        for domain in (domains if len(domains) < 3 else domains[-1:])  # several sources: who is active in any of them
        if overlap is not None and (users := number(domain.get("users")))
    ]
    sentence = (
        ""
        if overlap is None
        else f"{count(overlap)} users are active in {'both domains' if len(domains) < 3 else 'a source and the target'}"
        + (f": {'; '.join(shares)}." if shares else ".")
    )
    return {"names": [text_of(domain.get("name")) for domain in domains], "rows": rows, "overlap": sentence}


def _fact(key: str, value: Any) -> str:
    size = number(value)
    if (key == "density" or key.endswith("_share")) and size is not None:
        return f"{100 * size:.3g} %"
    if key == "time_range" and isinstance(value, Sequence | Mapping) and not isinstance(value, str):
        ends = list(value.values()) if isinstance(value, Mapping) else list(value)
        return " to ".join(_day(end) if isinstance(end, str) else setting_text(end) for end in ends)
    return UNKNOWN if value is None else setting_text(value)


def _day(time: str) -> str:
    """Return the day of an ISO time; other text as it is."""
    return re.sub(r"^(\d{4}-\d\d-\d\d)[T ].*", r"\1", time)


def flat(settings: Json | None, prefix: str = "") -> list[tuple[str, str]]:
    """Return (dotted name, value as text) of nested settings, in their order."""
    rows: list[tuple[str, str]] = []
    for name, value in (settings or {}).items():
        if isinstance(value, Mapping):
            rows.extend(flat(value, f"{prefix}{name}."))
        else:
            rows.append((f"{prefix}{name}", setting_text(value)))
    return rows
