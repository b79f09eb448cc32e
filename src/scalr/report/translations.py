"""The section on translators without a model: a table of all translators, and calibration of confidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scalr.foundation import Json, require_extra
from scalr.report.cells import UNKNOWN, number_text
from scalr.report.drawing import BLUE, EXTRA, GREY, MUTED, NARROW, ORANGE, PERCENT, WIDE, Figure, figure, spec
from scalr.studies import count, in_order, number, percent

NAMES = {
    "cooccurrence": "Co-occurrence",
    "conditioned": "Conditioned on the user",
    "factor": "Low-rank score",
    "popularity": "Popularity (control)",
    "random": "Any item (control)",
}
DRAWN = {"cooccurrence": BLUE, "conditioned": ORANGE, "factor": GREY}
"""Translators in the calibration chart, with colours. Controls are left out: they do not depend on the user."""


def translation_table(study: Json | None) -> list[dict[str, Any]]:
    """Return one row per translator: perplexity, gain over popularity, pairs reached and calibration error as text."""
    rows = []
    found: Json = (study or {}).get("translation") or {}
    for name in in_order(found, NAMES):
        one = found[name]
        gain: Json = one.get("gain_over_popularity") or {}
        mixed: Json = one.get("mixed_gain_over_popularity") or {}
        calibration: Json = one.get("calibration") or {}
        rows.append(
            {
                "name": NAMES.get(name, name.replace("_", " ")),
                "perplexity": number_text(one.get("perplexity"), count),
                "perplexity_interval": _interval(one.get("perplexity_interval"), count),
                "gain": UNKNOWN if name == "popularity" else number_text(gain.get("value"), _nats),
                "gain_interval": "" if name == "popularity" else _interval(gain.get("interval"), _nats),
                "kind": "" if name == "popularity" else _kind(gain.get("interval")),
                "mixed": UNKNOWN if name == "popularity" else number_text(mixed.get("value"), _nats),
                "mixed_interval": "" if name == "popularity" else _interval(mixed.get("interval"), _nats),
                "mixed_kind": "" if name == "popularity" else _kind(mixed.get("interval")),
                "reached": number_text(one.get("reached"), lambda share: percent(share, digits=0)),
                "error": number_text(calibration.get("error"), lambda error: percent(error, digits=0)),
                "pairs": number_text(one.get("pairs"), count),
                "users": number_text(one.get("users"), count),
            }
        )
    return rows


def _interval(ends: Any, write: Any) -> str:
    known = [number(end) for end in ends or ()]
    return "" if len(known) != 2 or None in known else f"[{', '.join(write(end) for end in known)}]"


def _nats(value: float) -> str:
    return ("+" if value > 0 else "−" if value < 0 else "") + f"{abs(value):.2f}"


def _kind(ends: Any) -> str:
    known = [number(end) for end in ends or ()]
    if len(known) != 2 or known[0] is None or known[1] is None:
        return "none"
    return "helped" if known[0] > 0 else "harmed" if known[1] < 0 else "not_clear"


def calibration_points(study: Json | None) -> dict[str, list[dict[str, float]]]:
    """Return known buckets by translator, each with `stated`, `observed`, `low` and `high`."""
    found: dict[str, list[dict[str, float]]] = {}
    for name, one in ((study or {}).get("translation") or {}).items():
        points = []
        for bucket in (one.get("calibration") or {}).get("buckets") or ():
            stated, observed = number(bucket.get("stated")), number(bucket.get("observed"))
            if stated is None or observed is None:
                continue
            low, high = (number(end) for end in bucket.get("interval") or (None, None))
            ends = {"low": observed if low is None else low, "high": observed if high is None else high}
            points.append({"stated": stated, "observed": observed, **ends})
        if name in DRAWN and points:
            found[name] = points
    return found


def calibration_chart(found: Mapping[str, list[dict[str, float]]]) -> Figure:
    """Draw observed rates over predicted confidence, a line per translator; the diagonal is perfect calibration.

    Both axes have a square-root scale, since most draws are near 0.

    Args:
        found: What `calibration_points` returns.
    """

    def draw(width: int) -> dict[str, Any]:
        alt = require_extra("altair", EXTRA)
        most = max(max(point["stated"], point["high"]) for points in found.values() for point in points) or 1.0
        ticks = [share for share in (0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0) if share <= most]
        if width == NARROW:
            ticks = ticks[-4:]
        scale = alt.Scale(type="sqrt", domain=[0, most * 1.02], nice=False)

        def axis(title: str | None) -> Any:
            return alt.Axis(title=title, labelExpr=PERCENT, values=ticks, labelFlush=False, grid=title is None)

        rows = [
            {**point, "name": NAMES[name], "colour": DRAWN[name]} for name, points in found.items() for point in points
        ]
        x = alt.X("stated:Q", scale=scale, axis=axis("predicted confidence"))
        y = alt.Y("observed:Q", scale=scale, axis=axis(None))
        colour = alt.Color("colour:N", scale=None)
        truth = [{"stated": 0.0, "observed": 0.0}, {"stated": most, "observed": most}]
        diagonal = alt.Chart(alt.Data(values=truth)).mark_line(color=MUTED, strokeDash=[4, 4], strokeWidth=1.5)
        base = alt.Chart(alt.Data(values=rows)).encode(x=x, color=colour)
        spans = base.mark_rule(strokeWidth=2, strokeCap="round").encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
        lines = base.mark_line(strokeWidth=2).encode(y=y, detail="name:N")
        points = base.mark_point(filled=True, opacity=1, size=55).encode(y=y)
        chart = diagonal.encode(x=x, y=y) + spans + lines + points
        for place, name in enumerate(found):
            title = alt.Chart(alt.Data(values=[{"text": NAMES[name]}])).mark_text(
                align="left", fontSize=12, color=DRAWN[name], baseline="top"
            )
            chart = chart + title.encode(x=alt.value(8), y=alt.value(4 + 16 * place), text="text:N")
        return spec(chart, width, 300 if width == WIDE else 240, left=56, right=24, top=12, bottom=48)

    label = "; ".join(
        f"{NAMES[name]} predicts {percent(points[-1]['stated'])}, observed {percent(points[-1]['observed'])}"
        for name, points in found.items()
    )
    return figure("calibration", f"Predicted confidence and observed rate in the highest bucket: {label}.", draw)
