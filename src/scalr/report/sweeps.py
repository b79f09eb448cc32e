"""The page of sweeps: a chart, coverage, a table and the finding of each sweep."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from scalr.foundation import Json, require_extra
from scalr.report import sections
from scalr.report.cells import change_cell
from scalr.report.charts import coverage_chart, forest_chart, forest_domain
from scalr.report.drawing import BLUE, EXTRA, GREY, HALF, INK, MUTED, ORANGE, Figure, charts_available, figure, spec
from scalr.report.page import templates
from scalr.studies import (
    HIDE,
    METRIC,
    NATURALLY_COLD,
    RULE,
    Outcome,
    against_real,
    compact,
    count,
    measured_segments,
    number,
    percent,
    segment_name,
    split_warnings,
)

TITLES = {
    "sampling": "Sampling against the likeliest item",
    "volume": "Volume: draws per source event",
    "weight": "Weight λ of synthetic events",
    "alignment": "Alignment with real events",
    "support": "Minimum support of a pair of items",
    "overlap": "Share of overlap users who are linked",
    "hide_overlap": "Share of overlap users whose history is hidden",
    "objective": "Objective",
    "shrinkage": "Per-user shrinkage κ",
}
WITH_COVERAGE = ("sampling", "volume", "support")
"""Sweeps whose points reach different parts of the catalogue; coverage is shown beside normalized entropy."""

BESIDE = {"segments": "By segment of users", "curve": "Fitted curves", "coverage": "Target items reached"}
TONES: Mapping[Outcome, str] = {"reproduced": "helped", "not reproduced": "harmed", "undecided": "unclear"}
CURVES = (("per_event", "same weight per event", BLUE), ("total", "same total weight", ORANGE))
_CURVE_POINTS = 60
_SIGNED = "(datum.value > 0 ? '+' : datum.value < 0 ? '−' : '') + format(abs(datum.value), '.2~f') + ' %'"
SEGMENT_COLOURS = {"all": BLUE, "warm": ORANGE, "cold": GREY, "naturally_cold": INK}


def write_sweeps_page(
    path: Path,
    content: Json,
    *,
    title: str,
    pair: Json | None = None,
    warnings: Sequence[str] = (),
    settings: Json | None = None,
    environment: Json | None = None,
) -> dict[str, Figure]:
    """Write the page of sweeps to `path`, in an existing folder, replacing a file of that name.

    Args:
        path: The page to write.
        content: Content of `sweeps.json`.
        title: Title of the page.
        pair: Summary of the logs.
        warnings: Sentences on weak points of the logs.
        settings: Settings of the run.
        environment: Versions, cores and similar facts.

    Returns:
        The charts by names such as "volume" and "volume-coverage"; empty without the extra `report`.
    """
    has_charts = charts_available()
    figures: dict[str, Figure] = {}
    for name, sweep in content["sweeps"].items() if has_charts else ():
        figures |= {name: _figure(name, sweep), **_beside(name, sweep)}
    seeds = len(content["protocol"]["seeds"])
    segments = {segment for sweep in content["sweeps"].values() for segment in measured_segments(sweep)}
    context = {
        "title": title,
        "subtitle": f"One setting changed at a time, {seeds} seed{'s' * (seeds > 1)}",
        "notes": (),
        "warnings": (*split_warnings(content), *warnings),
        "has_charts": has_charts,
        "extra": EXTRA,
        "sweeps": [_section(name, sweep, figures) for name, sweep in content["sweeps"].items()],
        "naturally_cold": NATURALLY_COLD if "naturally_cold" in segments else "",
        "pair": sections.log_table(pair),
        "rule": RULE,
        "protocol": sections.flat({key: own for key, own in content["protocol"].items() if key != "finding"}),
        "settings": sections.flat(settings),
        "environment": sections.flat(environment),
    }
    page = templates().get_template("sweeps.html.j2").render(context)
    path.write_text(page, encoding="utf-8", errors="xmlcharrefreplace", newline="\n")
    return figures


def standalone(chart: Figure) -> str:
    """Return the chart as the content of an SVG file, on a white background."""
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return chart.wide.replace("<svg", f'<svg {names} font-family="sans-serif" style="background: #fff"', 1) + "\n"


def _section(name: str, sweep: Json, figures: Mapping[str, Figure]) -> dict[str, Any]:
    segments = measured_segments(sweep)
    return {
        "name": name,
        "title": TITLES[name],
        "claim": sweep["claim"],
        "tone": TONES[sweep["outcome"]],
        "outcome": sweep["outcome"],
        "finding": sweep["finding"],
        "figure": figures.get(name),
        "beside": [(words, figures[own]) for key, words in BESIDE.items() if (own := f"{name}-{key}") in figures],
        "segments": [segment_name(segment) for segment in segments],
        "rows": [_row(sweep, point, segments) for point in sweep["points"]],
        "users": _judged_users(sweep),
        "fits": _fits(sweep),
    }


def _row(sweep: Json, point: Json, segments: Sequence[str]) -> dict[str, Any]:
    label = point["label"]
    cells = [change_cell(against_real(sweep, label, segment)) for segment in segments]
    moved = [
        f"{percent(before, digits=1)} → {percent(after, digits=1)}"
        for one in point["alignment"]
        if (before := number(one["total_variation_before"])) is not None
        and (after := number(one["total_variation_after"])) is not None
    ]
    return {
        "label": label,
        "is_base": point["base"],
        "events": count(point["synthetic_events"]),
        "coverage": percent(point["item_coverage"], digits=1),
        "weight": compact(point["synthetic_weight"]),
        "cells": cells,
        "moved": ", ".join(moved),
    }


def _judged_users(sweep: Json) -> list[tuple[str, list[str]]]:
    """Return the mean number of judged users per segment and point, where points have folds of their own."""
    points = [point for point in sweep["points"] if "judged_users" in point]
    segments = points[0]["judged_users"] if points else ()
    rows = [(segment, [float(np.mean(point["judged_users"][segment])) for point in points]) for segment in segments]
    return [(segment_name(segment), [count(one) for one in means]) for segment, means in rows if any(means)]


def _fits(sweep: Json) -> list[dict[str, str]]:
    """Return the formula of each fitted curve and a sentence about it."""
    rows = []
    for name, words, _ in CURVES if sweep["fit"] else ():
        fit = sweep["fit"][name]
        a, b, c = (f"{fit[key]:.5g}" for key in ("a", "b", "c"))
        law = f"{a} − {b} · (1 − exp(−x / {c}))" if fit["law"] == "exponential" else f"{a} + {b} · x^−{c}"
        limit = "no plateau" if fit["limit"] is None else f"plateau at {fit['limit']:.4f}"
        monotone = {
            True: "more draws help over the whole range",
            False: "more draws do not help over the whole range",
            None: "not clear whether more draws help",
        }
        rows.append(
            {
                "name": words.capitalize(),
                "law": law.replace("− -", "+ ").replace("+ -", "− "),
                "text": f"root mean square residual {fit['rms_residual']:.2g}; {limit}; {monotone[fit['monotone']]}",
            }
        )
    return rows


def _figure(name: str, sweep: Json) -> Figure:
    changes = [change for point in sweep["points"] if (change := against_real(sweep, point["label"])) is not None]
    labels = [change.arm for change in changes]
    base = next((point["label"] for point in sweep["points"] if point["base"]), "")
    return forest_chart(f"{TITLES[name]}, all users", changes, labels, forest_domain(changes), ours=base)


def _beside(name: str, sweep: Json) -> dict[str, Figure]:
    """Return further charts of a sweep by name."""
    if name == "hide_overlap":
        return {"hide_overlap-segments": hidden_chart(sweep)}
    if name not in WITH_COVERAGE:
        return {}
    curves = {} if name != "volume" else {"volume-curve": volume_chart(sweep)}
    labels = sweep["fit"]["per_event"]["labels"] if curves else [point["label"] for point in sweep["points"]]
    reach = {point["label"]: float(point["item_coverage"]) for point in sweep["points"] if point["label"] in labels}
    return {**curves, f"{name}-coverage": coverage_chart(reach)}


def volume_chart(sweep: Json) -> Figure:
    """Draw the change of normalized entropy over draws per event, with intervals and the fitted curves.

    Args:
        sweep: The sweep `volume` of `sweeps.json`.
    """
    points: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for name, words, colour in CURVES:
        fit = sweep["fit"][name]
        for volume, label in zip(fit["volumes"], fit["labels"], strict=True):
            if (change := against_real(sweep, label)) is not None:
                low, high = change.interval or (None, None)
                ends = {"low": _hundred(low), "high": _hundred(high)}
                points.append({"draws": volume, "change": 100 * change.change, "colour": colour, **ends})
        real = _baseline(sweep, fit["labels"][0])
        if real is None:
            continue
        for place in range(_CURVE_POINTS):
            share = place / (_CURVE_POINTS - 1)
            draws = fit["volumes"][0] * (fit["volumes"][-1] / fit["volumes"][0]) ** share
            lines.append(
                {"draws": draws, "change": 100 * (_at(fit, draws) / real - 1), "curve": words, "colour": colour}
            )

    def draw(width: int) -> dict[str, Any]:
        alt = require_extra("altair", EXTRA)
        x = alt.X(
            "draws:Q",
            scale=alt.Scale(type="log", base=2),
            axis=alt.Axis(title="draws per source event", values=sweep["fit"]["total"]["volumes"], grid=False),
        )
        y = alt.Y("change:Q", scale=alt.Scale(zero=True), axis=alt.Axis(title=None, labelExpr=_SIGNED, tickCount=5))
        colour = alt.Color("colour:N", scale=None)
        dots = alt.Chart(alt.Data(values=points))
        known = dots.transform_filter("isValid(datum.low)")
        zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color=MUTED, strokeWidth=1.5).encode(y="zero:Q")
        spans = known.mark_rule(strokeWidth=2, opacity=0.5).encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=colour)
        curves = alt.Chart(alt.Data(values=lines)).mark_line(strokeWidth=2.5)
        drawn = curves.encode(x=x, y=y, color=colour, detail="curve:N")
        return spec(
            zero + spans + drawn + dots.mark_point(filled=True, opacity=1, size=70).encode(x=x, y=y, color=colour),
            width, 230, left=58, right=14, top=12, bottom=48,
        )  # fmt: skip

    label = "; ".join(f"{point['draws']} draws {point['change']:+.2f} %" for point in points)
    return figure("volume", f"Change of normalized entropy over draws per source event: {label}.", draw, wide=HALF)


def hidden_chart(sweep: Json) -> Figure:
    """Draw the change of normalized entropy over the share of hidden users, a line with intervals per segment.

    A segment without users at a share has no point there. Points of segments are half a percent apart.

    Args:
        sweep: The sweep `hide_overlap` of `sweeps.json`.
    """
    points: list[dict[str, Any]] = []
    segments = measured_segments(sweep)
    for (place, segment), point in product(enumerate(segments), sweep["points"]):
        if (change := against_real(sweep, point["label"], segment)) is not None:
            low, high = (_hundred(end) for end in change.interval or (None, None))
            hidden, apart = 100 * float(point["setting"][HIDE]), (place - (len(segments) - 1) / 2) / 2
            shown = {"segment": segment, "colour": SEGMENT_COLOURS[segment], "low": low, "high": high}
            points.append({"hidden": hidden, "x": hidden + apart, "change": 100 * change.change, **shown})

    def draw(width: int) -> dict[str, Any]:
        alt = require_extra("altair", EXTRA)
        ticks = sorted({point["hidden"] for point in points})
        percents = alt.Axis(title="overlap users hidden", values=ticks, labelExpr="datum.value + ' %'", grid=False)
        x = alt.X("x:Q", scale=alt.Scale(nice=False, zero=False, padding=14), axis=percents)
        y = alt.Y("change:Q", scale=alt.Scale(zero=True), axis=alt.Axis(title=None, labelExpr=_SIGNED, tickCount=5))
        base = alt.Chart(alt.Data(values=points)).encode(x=x, color=alt.Color("colour:N", scale=None))
        chart = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color=MUTED, strokeWidth=1.5).encode(y="zero:Q")
        spans = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2, opacity=0.5)
        chart = chart + spans.encode(y=alt.Y("low:Q"), y2="high:Q")
        chart = chart + base.mark_line(strokeWidth=2.5).encode(y=y, detail="segment:N")
        chart = chart + base.mark_point(filled=True, opacity=1, size=70).encode(y=y)
        left = 0
        for segment in segments:
            words = segment.replace("_", " ")
            key = alt.Chart(alt.Data(values=[{"text": words}])).mark_text(align="left", fontSize=13, fontWeight="bold")
            key = key.encode(
                x=alt.value(left), y=alt.value(-14), text="text:N", color=alt.value(SEGMENT_COLOURS[segment])
            )
            chart, left = chart + key, left + 8 * len(words) + 16
        return spec(chart, width, 260, left=58, right=18, top=32, bottom=48)

    label = "; ".join(
        f"{point['hidden']:g} % hidden, {segment_name(point['segment']).lower()} {point['change']:+.2f} %"
        for point in points
    )
    return figure("hidden", f"Change of normalized entropy over the share of hidden users: {label}.", draw)


def _at(fit: Json, draws: float) -> float:
    a, b, c = float(fit["a"]), float(fit["b"]), float(fit["c"])
    return a + b * math.expm1(-draws / c) if fit["law"] == "exponential" else a + b * draws**-c


def _baseline(sweep: Json, label: str) -> float | None:
    """Return the mean normalized entropy of real events only that a point's change is relative to."""
    point = next(point for point in sweep["points"] if point["label"] == label)
    mean, change = number(point["metrics"]["all"][METRIC]["mean"]), against_real(sweep, label)
    return None if mean is None or change is None else mean / (1 + change.change)


def _hundred(share: float | None) -> float | None:
    return None if share is None else 100 * share
