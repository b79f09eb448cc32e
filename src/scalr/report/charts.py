"""Charts of the report as inline SVG, for wide and narrow screens.

Each function takes plain numbers and returns a `Figure`. Sizes are fixed and text is never measured, so the same
numbers give the same picture on any machine.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from scalr.foundation import require_extra
from scalr.report.drawing import (
    BLUE,
    EXTRA,
    GREY,
    HALF,
    MUTED,
    NARROW,
    ORANGE,
    PALE,
    PERCENT,
    WIDE,
    Figure,
    figure,
    left_margin,
    name_axis,
    spec,
)
from scalr.studies import ARM, Change, arm_name, bracket, compact, count, decimals_for, percent

SERIES = {
    "sample": ("Sampled (SCALR)", BLUE),
    "top1": ("Likeliest item (top-1)", ORANGE),
    "real": ("Real events", GREY),
}
"""Names and colours of the series of coverage."""
LABEL_WIDTH = 56  # pixels between labels of an axis; "−27.5 %" needs some space


def _bars(rows: Sequence[Mapping[str, Any]], width: int, *, right: int, step: int) -> dict[str, Any]:
    """Draw horizontal bars; a row has `name`, `size`, `text` and `colour`."""
    alt = require_extra("altair", EXTRA)
    left = left_margin([str(row["name"]) for row in rows], width)
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        y=alt.Y(
            "name:N", sort=None, axis=name_axis(alt, left, width), scale=alt.Scale(paddingInner=0.35, paddingOuter=0.1)
        ),
        x=alt.X("size:Q", axis=None, scale=alt.Scale(domain=[0, max(float(row["size"]) for row in rows) or 1.0])),
    )
    bars = base.mark_bar(cornerRadiusEnd=3).encode(color=alt.Color("colour:N", scale=None))
    texts = base.mark_text(align="left", dx=8, baseline="middle").encode(text="text:N")
    return spec(bars + texts, width, step * len(rows), left=left, right=right)


def funnel_chart(steps: Sequence[tuple[str, int]]) -> Figure:
    """Draw events through the stages.

    Args:
        steps: (name, events) in order, from source events to the events that remain.
    """

    def draw(width: int) -> dict[str, Any]:
        rows = []
        for place, (name, events) in enumerate(steps):
            before = steps[place - 1][1] if place > 1 else 0
            kept = (
                f" · {percent(events / before, digits=0 if events < 0.995 * before else 2)} kept"
                if before and width == WIDE
                else ""
            )
            colour = GREY if place == 0 else BLUE
            number = count(events) if width == WIDE else compact(events)
            rows.append({"name": name, "size": events, "text": number + kept, "colour": colour})
        return _bars(rows, width, right=190 if width == WIDE else 58, step=36)

    label = ", ".join(f"{name.lower()} {count(events)}" for name, events in steps)
    return figure("funnel", f"Events through the stages: {label}.", draw)


def coverage_chart(shares: Mapping[str, float]) -> Figure:
    """Draw the share of target items reached by each way of drawing.

    Args:
        shares: Share in [0, 1] by "sample", "top1", "real" or another name.
    """

    def draw(width: int) -> dict[str, Any]:
        rows = [
            {"name": _series(name)[0], "size": share, "text": percent(share), "colour": _series(name)[1]}
            for name, share in shares.items()
        ]
        return _bars(rows, width, right=70, step=44)

    label = ", ".join(f"{_series(name)[0]} {percent(share)}" for name, share in shares.items())
    return figure("coverage", f"Share of the target's items that are reached: {label}.", draw, wide=HALF)


def _series(name: str) -> tuple[str, str]:
    return SERIES.get(name, (name.replace("_", " "), PALE))


def concentration_chart(curves: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the share of events held by the most frequent items.

    Args:
        curves: Cumulative share of events by way of drawing, at even steps from the most frequent item to the whole
            catalogue.
    """

    def draw(width: int) -> dict[str, Any]:
        alt = require_extra("altair", EXTRA)
        rows = [
            {"name": name, "rank": _rank(place, curve), "share": share, "colour": _series(name)[1]}
            for name, curve in curves.items()
            for place, share in enumerate(curve)
        ]
        x = alt.X(
            "rank:Q",
            axis=alt.Axis(
                title="share of the target's items, most frequent first",
                labelExpr=PERCENT,
                labelFlush=False,
                tickCount=5,
                grid=False,
            ),
        )
        y = alt.Y("share:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(title=None, labelExpr=PERCENT, tickCount=5))
        colour = alt.Color("colour:N", scale=None)
        lines = (
            alt.Chart(alt.Data(values=rows))
            .mark_line(strokeWidth=2.5, strokeCap="round")
            .encode(x=x, y=y, color=colour, detail="name:N")
        )
        for below in (True, False):
            labels = [label for label in _curve_labels(curves) if label["is_below"] == below]
            place = {"align": "left", "dx": 7, "dy": 11} if below else {"align": "right", "dx": -7, "dy": -7}
            names = alt.Chart(alt.Data(values=labels)).mark_text(fontSize=12, **place)
            lines = lines + names.encode(x=x, y=y, color=colour, text="text:N")
        return spec(lines, width, 210, left=48, right=14, top=12, bottom=48)

    label = ", ".join(f"{_series(name)[0]} {percent(_share_of_top(curve))}" for name, curve in curves.items())
    return figure(
        "concentration",
        f"Share of events held by the tenth of the items that is most frequent: {label}.",
        draw,
        wide=HALF,
    )


def _rank(place: int, curve: Sequence[float]) -> float:
    return place / max(len(curve) - 1, 1)


def _share_of_top(curve: Sequence[float]) -> float:
    """Return the share of events held by the most frequent tenth of the items."""
    return float(curve[round(0.1 * (len(curve) - 1))])


def _curve_labels(curves: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """Return the position of each curve's name: where it is farthest from the others, on the side with more space."""
    short = {"sample": "sampled", "top1": "top-1", "real": "real"}
    found = []
    for name, curve in curves.items():
        others = [other for key, other in curves.items() if key != name and len(other) == len(curve)]
        gaps = [[other[place] - share for other in others] for place, share in enumerate(curve)]
        places = range(max(len(curve) * 2 // 3, 1))
        place = max(places, key=lambda place: min(map(abs, gaps[place]), default=place == len(curve) // 3))
        above = min((gap for gap in gaps[place] if gap >= 0), default=1.0)
        below = min((-gap for gap in gaps[place] if gap < 0), default=1.0)
        at = {
            "rank": _rank(place, curve),
            "share": curve[place],
            "is_below": below >= above or place < len(curve) // 5,
        }
        found.append({**at, "text": short.get(name, _series(name)[0]), "colour": _series(name)[1]})
    return found


def alignment_chart(
    name: str, edges: Sequence[str], real: Sequence[float], before: Sequence[float], after: Sequence[float]
) -> Figure:
    """Draw the shares of events per bucket: real as bars, synthetic before (dashed) and after alignment as steps.

    Args:
        name: The marginal, such as "value".
        edges: Labels of the n + 1 edges of the buckets; empty where unknown.
        real: n shares in [0, 1].
        before: n shares of the synthetic events before alignment.
        after: n shares after alignment.
    """
    buckets = len(real)

    def draw(width: int) -> dict[str, Any]:
        alt = require_extra("altair", EXTRA)
        marks = 3 if width == NARROW else 5
        places = sorted({round(place * buckets / (marks - 1)) for place in range(marks)})
        words = [edges[place] if edges else str(place) for place in range(buckets + 1)]
        axis = alt.Axis(
            title=None,
            values=places,
            labelExpr=f"{json.dumps(words)}[datum.value]",
            grid=False,
            labelOverlap=False,
            labelBound=False,
        )
        x = alt.X("start:Q", axis=axis, scale=alt.Scale(domain=[0, buckets], nice=False))
        highest = max((*real, *before, *after), default=0.0) or 1.0
        y = alt.Y(
            "share:Q",
            axis=alt.Axis(title=None, labelExpr=PERCENT, tickCount=4),
            scale=alt.Scale(domain=[0, highest * 1.05]),
        )
        bars = [{"start": place + 0.04, "end": place + 0.96, "share": share} for place, share in enumerate(real)]
        chart = alt.Chart(alt.Data(values=bars)).mark_bar(color=PALE).encode(x=x, x2="end:Q", y=y, y2=alt.datum(0))
        for shares, colour, dash, thick in ((before, ORANGE, [5, 3], 2.0), (after, BLUE, [1, 0], 2.5)):
            steps = [{"start": place, "share": share} for place, share in enumerate((*shares, *shares[-1:]))]
            line = alt.Chart(alt.Data(values=steps)).mark_line(
                interpolate="step-after", color=colour, strokeDash=dash, strokeWidth=thick
            )
            chart = chart + line.encode(x=x, y=y)
        return spec(chart, width, 190, left=48, right=30, top=10, bottom=30)

    label = f"Shares of events per bucket of {name}: real, synthetic before alignment and after it, {buckets} buckets."
    return figure(f"align-{re.sub('[^a-z0-9]+', '-', name.lower())}", label, draw, wide=HALF)


def forest_chart(
    segment: str, changes: Sequence[Change], arms: Sequence[str], domain: tuple[float, float], *, ours: str = ARM
) -> Figure:
    """Draw relative changes with their intervals, one line per arm; left of zero is better.

    Args:
        segment: Name of the segment.
        changes: At most one per arm; relative changes of a metric where lower is better.
        arms: All arms of all segments, in order.
        domain: Ends of the axis in percent, the same for all segments.
        ours: The arm in bold.
    """
    names = {arm: arm_name(arm) for arm in arms}

    def draw(width: int) -> dict[str, Any]:
        alt = require_extra("altair", EXTRA)
        left, right = left_margin(list(names.values()), width), 180 if width == WIDE else 62
        inner = width - left - right
        rows = [
            _forest_row(change, names[change.arm], full=width == WIDE, ours=change.arm == ours) for change in changes
        ]
        scale = alt.Scale(domain=[names[change.arm] for change in changes])
        axis = name_axis(alt, left, width, bold=arm_name(ours))
        base = alt.Chart(alt.Data(values=rows)).encode(y=alt.Y("name:N", sort=None, axis=axis, scale=scale))
        texts = base.mark_text(align="left", dx=14, baseline="middle").encode(x=alt.value(inner), text="text:N")
        chart = _zero_line(alt) + _forest_marks(alt, base, domain, inner) + texts
        return spec(chart, width, 32 * len(rows), left=left, right=right, top=22, bottom=28)

    label = "; ".join(f"{names[change.arm]} {change.text}" for change in changes)
    return figure(
        f"forest-{re.sub('[^a-z0-9]+', '-', segment.lower())}",
        f"{segment}: relative change of normalized entropy. {label}.",
        draw,
    )


def _zero_line(alt: Any) -> Any:
    """Return a line at zero, with a hint on each side above it."""
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color=MUTED, strokeWidth=1.5).encode(x="zero:Q")
    for text, align, dx in (("◂ better", "right", -7), ("worse ▸", "left", 7)):
        hint = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_text(align=align, dx=dx, fontSize=11, color=MUTED)
        zero = zero + hint.encode(x="zero:Q", y=alt.value(-9), text=alt.value(text))
    return zero


def _forest_marks(alt: Any, base: Any, domain: tuple[float, float], width: int) -> Any:
    """Return intervals and points of a forest chart whose axis is `width` pixels long."""
    ticks = "(datum.value > 0 ? '+' : datum.value < 0 ? '−' : '') + format(abs(datum.value), '.2~f') + ' %'"
    axis = alt.Axis(title=None, labelExpr=ticks, labelFlush=False, values=_ticks(domain, width / LABEL_WIDTH))
    x = alt.X("change:Q", scale=alt.Scale(domain=list(domain), nice=False), axis=axis)
    colour, size = alt.Color("colour:N", scale=None), alt.StrokeWidth("thickness:Q", scale=None)
    known = base.transform_filter("isValid(datum.low)")
    spans = known.mark_rule(strokeCap="round").encode(x=alt.X("low:Q"), x2="high:Q", color=colour, strokeWidth=size)
    return spans + base.mark_point(filled=True, opacity=1, size=90).encode(x=x, color=colour)


def _ticks(domain: tuple[float, float], most: float) -> list[float]:
    """Return round numbers inside `domain` with zero among them, about `most` or fewer."""
    rough = (domain[1] - domain[0]) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= rough)
    return [round(place * step, 10) for place in range(math.ceil(domain[0] / step), math.floor(domain[1] / step) + 1)]


def _forest_row(change: Change, name: str, *, full: bool, ours: bool) -> dict[str, Any]:
    digits = decimals_for(change.change)
    text = percent(change.change, signed=True, digits=digits)
    if full and change.interval is not None:
        text += f"  {bracket(change.interval, digits=digits)}"
    return {
        "name": name,
        "change": 100.0 * change.change,
        "low": None if change.interval is None else 100.0 * change.interval[0],
        "high": None if change.interval is None else 100.0 * change.interval[1],
        "text": text,
        "colour": BLUE if ours else GREY,
        "thickness": 4 if ours else 2.5,
    }


def forest_domain(changes: Sequence[Change]) -> tuple[float, float]:
    """Return ends of an axis in percent that contain all changes, their intervals and zero."""
    ends = [
        0.0,
        *itertools.chain.from_iterable(change.interval or (change.change, change.change) for change in changes),
    ]
    low, high = 100.0 * min(ends), 100.0 * max(ends)
    margin = 0.06 * ((high - low) or 1.0)
    return low - margin, high + margin
