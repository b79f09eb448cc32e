"""Write the report of a run: one HTML file that needs no network and no JavaScript."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from scalr.foundation import OutputError
from scalr.report import charts, choice, drawing, sections, translations
from scalr.report import detection as leaks
from scalr.studies import (
    ARM_ORDER,
    NATURALLY_COLD,
    Change,
    count,
    in_order,
    interval_text,
    percent,
    privacy_sentence,
    read_changes,
    segment_name,
    verdict,
)

_TURNING = re.compile("[\u2028\u2029\u202a-\u202e\u2066-\u2069]")  # break a line, or set its direction


@dataclass(frozen=True, slots=True)
class ReportData:
    """What a report can show; plain values, ready for JSON, so that it can be made again from a run's folder.

    Attributes:
        title: What the run is about.
        subtitle: One more line; may be empty.
        notes: Sentences that a reader must know before any number ("these data are simulated").
        warnings: Sentences on what is weak in the logs.
        pair: `domains` (name, role, users, items, events, interactions, density, time_range) and `overlap_users`.
        stages: Per stage, in order, `rows_in`, `rows_out`, `wall_seconds`, `cpu_seconds`.
        coverage: Share of the target's items reached, in [0, 1], by "sample", "top1", "real".
        curves: By the same names: cumulative shares of events, at even steps from the most frequent item to all.
        alignment: Per marginal `by`, `edges`, shares `real`, `before` and `after`, `total_variation_before` and
            `..._after`, `wasserstein_before` and `..._after`.
        leaks: Columns that identify synthetic rows: what `scalr.find_leaks(...).to_json()` returns, and whether
            columns were `dropped`; None where nobody looked.
        study: Content of `study.json` or `evaluation.json`.
        examples: `user`, `source_item`, `source_title`, `source_domain`, `target_item`, `target_title`, `confidence`,
            `support` and `lift` (confidence over the item's share of all real pairs) of each.
        privacy: `k` (other users behind every pair, 1 for no promise) and `share_below`: shares of the synthetic events
            that rest on fewer other users, by that number.
        settings: Settings of the run, nested as they are.
        environment: Versions, cores and the like.
    """

    title: str
    subtitle: str = ""
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    pair: Mapping[str, Any] | None = None
    stages: Mapping[str, Mapping[str, Any]] | None = None
    coverage: Mapping[str, Any] | None = None
    curves: Mapping[str, Sequence[float]] | None = None
    alignment: Sequence[Mapping[str, Any]] = ()
    leaks: Mapping[str, Any] | None = None
    study: Mapping[str, Any] | None = None
    examples: Sequence[Mapping[str, Any]] = ()
    privacy: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)


def write_page(path: str | Path, data: ReportData) -> None:
    """Write the report to `path`, replacing a file of that name.

    Sections appear where `data` has something to show. Charts need the extra `report`; without it the page has tables.

    Raises:
        OutputError: If the folder of `path` does not exist.
    """
    file = Path(path)
    if not file.parent.is_dir():
        raise OutputError(
            f"folder '{file.parent}' of the report does not exist",
            expected="an existing folder",
            fix="create it, or give another --out",
        )
    page = templates().get_template("page.html.j2").render(_context(data))
    file.write_text(page, encoding="utf-8", errors="xmlcharrefreplace", newline="\n")


def templates() -> jinja2.Environment:
    """Return the templates of pages, with the filters and functions that they use."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("scalr", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_unbroken,
    )
    environment.filters["prose"] = _prose
    environment.globals.update(percent=percent, count=count, interval_text=interval_text, segment_name=segment_name)
    return environment


def _unbroken(value: Any) -> Any:
    """Keep a number and its percent sign on one line; escape characters that break a line or set its direction."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _TURNING.sub(lambda found: ascii(found[0])[1:-1], value).replace(" %", "\u00a0%")


def _prose(sentence: str) -> Markup:
    """Escape a sentence and format text between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(_unbroken(sentence)))))


def _context(data: ReportData) -> dict[str, Any]:
    has_charts = drawing.charts_available()
    changes = read_changes(data.study)
    result = verdict(data.study)
    steps = sections.funnel_steps(data.stages)
    shares, curves = sections.known_shares(data.coverage), sections.known_curves(data.curves)
    alignment = sections.alignment_rows(data.alignment)
    calibration = translations.calibration_points(data.study)
    leaky = leaks.leak_section(data.leaks)
    return {
        "title": data.title,
        "subtitle": data.subtitle,
        "notes": (*data.notes, *leaks.leak_notes(data.leaks)),
        "warnings": data.warnings,
        "has_charts": has_charts,
        "extra": drawing.EXTRA,
        "verdict": result,
        "cards": sections.cards(steps, data.pair, shares, data.stages, result),
        "forests": _forests(changes) if has_charts else [],
        "metric_tables": sections.metric_tables(changes),
        "means": sections.mean_table(data.study),
        "comparisons": sections.comparison_rows(changes),
        "choices": choice.trial_rows(data.study),
        "naturally_cold": NATURALLY_COLD if any(change.segment == "naturally_cold" for change in changes) else "",
        "rehearsals": choice.rehearsal_rows(data.study),
        "trials": choice.trials_chart(data.study) if has_charts else None,
        "steps": steps,
        "funnel": charts.funnel_chart(steps) if has_charts and steps else None,
        "shares": shares,
        "coverage": charts.coverage_chart(shares) if has_charts and shares else None,
        "concentration": charts.concentration_chart(curves) if has_charts and curves else None,
        "series_names": {name: charts.SERIES.get(name, (name, ""))[0] for name in (*shares, *curves)},
        "alignment": alignment,
        "alignment_charts": [_alignment_chart(row) if has_charts and row["is_drawable"] else None for row in alignment],
        "leaks": leaky,
        "leak_chart": leaks.leak_chart(leaky) if has_charts and leaky else None,
        "translations": translations.translation_table(data.study),
        "calibration": translations.calibration_chart(calibration) if has_charts and calibration else None,
        "examples": sections.example_rows(data.examples),
        "privacy": privacy_sentence(data.privacy),
        "pair": sections.log_table(data.pair),
        "stages": sections.stage_rows(data.stages),
        "protocol": sections.flat((data.study or {}).get("protocol")),
        "settings": sections.flat(data.settings),
        "environment": sections.flat(data.environment),
    }


def _alignment_chart(row: Mapping[str, Any]) -> drawing.Figure:
    return charts.alignment_chart(row["name"], row["edges"], row["real"], row["before"], row["after"])


def _forests(changes: Sequence[Change]) -> list[tuple[str, drawing.Figure]]:
    """Return (name of the segment, chart) for each segment, on one axis."""
    by_segment = sections.forest_changes(changes)
    shown = [change for own in by_segment.values() for change in own]
    arms = in_order((change.arm for change in shown), ARM_ORDER)
    domain = charts.forest_domain(shown)
    return [
        (segment_name(segment), charts.forest_chart(segment_name(segment), own, arms, domain))
        for segment, own in by_segment.items()
    ]
