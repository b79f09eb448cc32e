"""The section on columns that identify synthetic rows: a chart and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scalr.foundation import Json, require_extra
from scalr.report.drawing import (
    BLUE,
    EXTRA,
    GREY,
    MUTED,
    ORANGE,
    PALE,
    WIDE,
    Figure,
    figure,
    left_margin,
    name_axis,
    spec,
)
from scalr.studies import count, number

MOST_DRAWN = 15  # columns in the chart, those with the highest AUC; the table has all
SIGNS = {"nulls": "its nulls", "fineness": "the precision of its values", "values": "its values"}
CLASSIFIERS = {"lightgbm": "boosted trees (LightGBM)", "logistic": "a logistic regression"}


def leak_section(leaks: Json | None) -> dict[str, Any] | None:
    """Return the content of the section; None without a check.

    Returns:
        `lead`, sentences; `rows`, per column `name`, `auc`, `interval`, `sign`, `fate` and `is_leaky`; `points`, for
        `leak_chart`; `threshold`.
    """
    columns: Sequence[Json] = (leaks or {}).get("columns") or ()
    before = _separation((leaks or {}).get("before"))
    if leaks is None or before is None:
        return None
    is_dropped, after = bool(leaks.get("dropped")), _separation(leaks.get("after"))
    without = f"Without {_names(leaks.get('droppable') or ())}"
    wholes = [{"name": "All columns together", **before, "kind": "whole"}]
    if after is not None:
        wholes.append({"name": "Without leaky ones", **after, "kind": "whole"})
    known = [(one, found) for one in columns if (found := _separation(one)) is not None]
    points = [
        {"name": str(one.get("name")), **found, "kind": "leaky" if one.get("is_leaky") else "plain"}
        for one, found in known[:MOST_DRAWN]
    ]
    return {
        "lead": [*_lead(leaks, before), *([] if after is None else [f"{without} it is {_words(after)}."])],
        "rows": [
            {
                "name": str(one.get("name")),
                "auc": f"{found['auc']:.3f}",
                "interval": f"[{found['low']:.3f}, {found['high']:.3f}]",
                "sign": SIGNS.get(str(one.get("sign")), "") if one.get("is_leaky") else "",
                "fate": _fate(one, is_dropped=is_dropped),
                "is_leaky": bool(one.get("is_leaky")),
            }
            for one, found in known
        ],
        "points": [*wholes, *points],
        "threshold": number(leaks.get("threshold")),
        "hidden": max(len(known) - MOST_DRAWN, 0),
    }


def _lead(leaks: Json, before: Mapping[str, float]) -> list[str]:
    rows: Json = leaks.get("rows") or {}
    sizes = [f"{count(size)} {kind}" for kind, size in rows.items() if number(size) is not None]
    classifier = CLASSIFIERS.get(str(leaks.get("classifier")), "a classifier")
    result = f"The AUC of synthetic against real rows, judged by their columns with {classifier}, is {_words(before)}"
    return [f"{result}, on {' and '.join(sizes)} rows." if sizes else f"{result}."]


def _fate(column: Json, *, is_dropped: bool) -> str:
    if not column.get("is_leaky"):
        return "harmless"
    if column.get("is_needed"):
        return "kept: column of a role"
    return "dropped" if is_dropped else "still in the files: do not use it as a feature, or use --drop-leaky"


def leak_notes(leaks: Json | None) -> tuple[str, ...]:
    """Return a note on leaky columns that are still in the files."""
    found = leaks or {}
    leaky = [
        str(one["name"])
        for one in found.get("columns") or ()
        if one.get("is_leaky") and (one.get("is_needed") or not found.get("dropped"))
    ]
    verb = "identifies" if len(leaky) == 1 else "identify"
    return (f"{_names(leaky)} {verb} synthetic rows; see the section on columns.",) if leaky else ()


def _names(names: Sequence[Any]) -> str:
    quoted = [f"`{name}`" for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def _words(one: Mapping[str, float]) -> str:
    return f"{one['auc']:.3f} (95 % interval {one['low']:.3f} to {one['high']:.3f})"


def _separation(one: Json | None) -> dict[str, float] | None:
    found = {name: number((one or {}).get(name)) for name in ("auc", "low", "high")}
    known = {name: value for name, value in found.items() if value is not None}
    return known if len(known) == len(found) else None


def leak_chart(section: Json) -> Figure:
    """Draw AUC and interval of all columns together and of each column alone, with lines at chance and threshold."""
    points, threshold = list(section["points"]), section["threshold"]
    colours = {"whole": BLUE, "leaky": ORANGE, "plain": GREY}

    def draw(width: int) -> dict[str, Any]:
        alt = require_extra("altair", EXTRA)
        names = [str(one["name"]) for one in points]
        left, right = left_margin(names, width), 70 if width == WIDE else 54
        # The axis starts at chance, or a little below where an interval does.
        lowest = min(0.5, *(max(one["low"], 0.4) for one in points))
        scale = alt.Scale(domain=[lowest - 0.01, 1.0], nice=False, clamp=True)
        rows = [{**one, "colour": colours[one["kind"]], "text": f"{one['auc']:.3f}"} for one in points]
        y = alt.Y("name:N", sort=None, axis=name_axis(alt, left, width), scale=alt.Scale(padding=0.5))
        values = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0] if width == WIDE else [0.5, 0.6, 0.8, 1.0]
        axis = alt.Axis(title="AUC, real against synthetic rows", format=".1f", values=values, labelFlush=False)
        base = alt.Chart(alt.Data(values=rows)).encode(y=y, color=alt.Color("colour:N", scale=None))
        spans = base.mark_rule(strokeWidth=3, strokeCap="round").encode(
            x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q"
        )
        dots = base.mark_point(filled=True, opacity=1, size=80).encode(x=alt.X("auc:Q", scale=scale, axis=axis))
        texts = base.mark_text(align="left", baseline="middle").encode(
            x=alt.value(width - left - right + 12), text="text:N"
        )
        lines = [{"at": 0.5, "dash": [1, 0], "colour": PALE}]
        if threshold is not None:
            lines.append({"at": threshold, "dash": [4, 4], "colour": MUTED})
        ruled = [
            alt.Chart(alt.Data(values=[line]))
            .mark_rule(strokeWidth=1.5, strokeDash=line["dash"], color=line["colour"])
            .encode(x=alt.X("at:Q", scale=scale, axis=axis))
            for line in lines
        ]
        chart = alt.layer(*ruled, spans, dots, texts)
        return spec(chart, width, 30 * len(rows), left=left, right=right, bottom=44)

    label = "; ".join(f"{one['name']} {one['auc']:.3f}" for one in points)
    return figure("leaks", f"AUC of real against synthetic rows, 0.5 is chance: {label}.", draw)
