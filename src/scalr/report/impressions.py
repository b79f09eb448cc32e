"""The page of a study of conversions: findings, arms by segment, calibration before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scalr.foundation import Json, require_extra
from scalr.report import sections
from scalr.report.drawing import (
    BLUE,
    EXTRA,
    GREY,
    MUTED,
    NARROW,
    ORANGE,
    PERCENT,
    WIDE,
    Figure,
    charts_available,
    figure,
    spec,
)
from scalr.report.page import templates
from scalr.studies import arm_name, comparison_of, count, impression_finding, percent, segment_name, span_text

CALIBRATIONS = {"raw": ("uncalibrated", GREY), "analytic": ("analytic", ORANGE), "isotonic": ("isotonic", BLUE)}
CONTROLS = ("shuffled_users", "random_items", "popular_items")


def write_conversions_page(
    path: Path,
    content: Json,
    *,
    title: str,
    pair: Json | None = None,
    warnings: Sequence[str] = (),
    settings: Json | None = None,
    environment: Json | None = None,
) -> None:
    """Write the page of a study of conversions to `path`, in an existing folder, replacing a file of that name.

    Args:
        path: The page to write.
        content: Content of `study.json`.
        title: Title of the page.
        pair: Summary of the logs.
        warnings: Sentences on weak points of the logs.
        settings: Settings of the run.
        environment: Versions, cores and similar facts.
    """
    has_charts, seeds = charts_available(), len(content["protocol"]["seeds"])
    curve = content["calibration"]["reliability"]
    context = {
        "title": title,
        "subtitle": f"Conversions, {seeds} seed{'s' * (seeds > 1)}",
        "notes": (),
        "warnings": warnings,
        "has_charts": has_charts,
        "extra": EXTRA,
        "found": impression_finding(content),
        "segments": [(segment_name(one), _arm_rows(content, one)) for one in _segments(content)],
        "short_names": [one.replace("_", " ") for one in _segments(content)],
        "naturally_cold": "naturally_cold" in _segments(content),
        "sizes": {segment_name(one): content["protocol"]["test"][one] for one in _segments(content)},
        "calibration": _calibration_rows(content),
        "curve": reliability_chart(curve) if has_charts else None,
        "curve_arm": arm_name(curve["arm"]),
        "buckets": _bucket_rows(curve),
        "chosen": _chosen_rows(content),
        "pair": sections.log_table(pair),
        "protocol": sections.flat(content["protocol"]),
        "settings": sections.flat(settings),
        "environment": sections.flat(environment),
    }
    page = templates().get_template("conversions.html.j2").render(context)
    path.write_text(page, encoding="utf-8", errors="xmlcharrefreplace", newline="\n")


def _segments(study: Json) -> tuple[str, ...]:
    """Return the names of the segments that have users, all users first."""
    return tuple(name for name, size in study["protocol"]["test"].items() if size["users"])


def _arm_rows(study: Json, segment: str) -> list[dict[str, Any]]:
    rows = []
    for arm, segments in study["segments"].items():
        own, change = segments[segment], comparison_of(study, arm, "real_only", segment)
        rows.append(
            {
                "arm": arm_name(arm),
                "is_ours": arm == "scalr",
                "change": "–" if change is None else percent(change["relative_change"], signed=True, digits=2),
                "seeds": "–" if change is None or change["interval"] is None else span_text(change["interval"]),
                "users": "–"
                if change is None or change["interval_users"] is None
                else span_text(change["interval_users"]),
                **{
                    name: "–" if own[name]["mean"] is None else f"{own[name]['mean']:.{digits}f}"
                    for name, digits in (
                        ("normalized_entropy", 4),
                        ("log_loss", 5),
                        ("auc", 4),
                        ("calibration_ratio", 3),
                    )
                },
            }
        )
    return rows


def _calibration_rows(study: Json) -> list[dict[str, Any]]:
    def shown(value: float | None, digits: int) -> str:
        return "–" if value is None else f"{value:.{digits}f}"

    return [
        {
            "arm": arm_name(arm) if method == "raw" else "",
            "is_ours": arm == "scalr",
            "method": CALIBRATIONS[method][0],
            "ratios": [shown(segments[segment]["calibration_ratio"]["mean"], 3) for segment in _segments(study)],
            "entropies": [shown(segments[segment]["normalized_entropy"]["mean"], 4) for segment in _segments(study)],
        }
        for arm, methods in study["calibration"]["segments"].items()
        for method, segments in methods.items()
    ]


def _bucket_rows(curve: Json) -> list[list[str]]:
    rows = zip(curve["impressions"], *(curve["stated"][name] for name in CALIBRATIONS), curve["observed"], strict=True)
    return [[count(n), *(percent(share, digits=2) for share in shares)] for n, *shares in rows]


def _chosen_rows(study: Json) -> list[list[str]]:
    choice = study["choice"]
    base = choice["validation_log_loss"]["real_only"]
    return [
        [
            arm_name(arm),
            f"{one['l2']:g}",
            f"{one['mass']:g}" if one["mass"] else "–",
            "–"
            if arm == "real_only"
            else percent(choice["validation_log_loss"][arm] / base - 1, signed=True, digits=2),
        ]
        for arm, one in choice["chosen"].items()
    ]


def reliability_chart(curve: Json) -> Figure:
    """Draw observed rates over mean predictions, a line per calibration; the diagonal is perfect calibration.

    Both axes have a square-root scale, since most predictions are near 0.

    Args:
        curve: `calibration.reliability` of `study.json`.
    """

    def draw(width: int) -> dict[str, Any]:
        alt = require_extra("altair", EXTRA)
        rows = [
            {"stated": stated, "observed": observed, "name": CALIBRATIONS[name][0], "colour": CALIBRATIONS[name][1]}
            for name in CALIBRATIONS
            for stated, observed in zip(curve["stated"][name], curve["observed"], strict=True)
        ]
        most = max(max(row["stated"], row["observed"]) for row in rows) or 1.0
        scale = alt.Scale(type="sqrt", domain=[0, most * 1.02], nice=False)
        shares = (0.0001, 0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
        ticks = [share for share in shares if most / 400 <= share <= most]
        ticks = ticks[-3:] if width == NARROW else ticks

        def axis(title: str | None) -> Any:
            return alt.Axis(title=title, labelExpr=PERCENT, values=ticks, labelFlush=False, grid=title is None)

        x = alt.X("stated:Q", scale=scale, axis=axis("mean prediction"))
        y = alt.Y("observed:Q", scale=scale, axis=axis(None))
        truth = [{"stated": 0.0, "observed": 0.0}, {"stated": most, "observed": most}]
        diagonal = alt.Chart(alt.Data(values=truth)).mark_line(color=MUTED, strokeDash=[4, 4], strokeWidth=1.5)
        base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, color=alt.Color("colour:N", scale=None))
        chart = diagonal.encode(x=x, y=y) + base.mark_line(strokeWidth=2).encode(detail="name:N")
        chart = chart + base.mark_point(filled=True, opacity=1, size=55)
        for place, (words, colour) in enumerate(CALIBRATIONS.values()):
            title = alt.Chart(alt.Data(values=[{"text": words}])).mark_text(
                align="left", fontSize=12, color=colour, baseline="top"
            )
            chart = chart + title.encode(x=alt.value(8), y=alt.value(4 + 16 * place), text="text:N")
        return spec(chart, width, 300 if width == WIDE else 240, left=56, right=24, top=12, bottom=48)

    highest = percent(curve["stated"]["raw"][-1], digits=2), percent(curve["observed"][-1], digits=2)
    label = f"Mean prediction {highest[0]} in the highest bucket, where {highest[1]} converted."
    return figure("reliability", label, draw)
