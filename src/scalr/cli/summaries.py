"""Tables of results, made from the JSON that a command writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from scalr.cli.console import escaped, format_number, format_percent, new_table
from scalr.foundation import Receipt


def logs_table(summary: Mapping[str, Any]) -> Table:
    """Return a table of users, items, events and times with a column per domain."""
    domains = summary["domains"]
    table = new_table("Logs", "", *(escaped(domain["name"]) for domain in domains))
    for name in ("users", "items", "events"):
        table.add_row(name, *(format_number(domain[name]) for domain in domains))
    table.add_row("distinct pairs", *(format_number(domain["interactions"]) for domain in domains))
    densities = (domain["density"] for domain in domains)
    table.add_row("density", *("–" if density is None else f"{100 * density:.3f} %" for density in densities))
    spans = [domain.get("time_range") or ("–", "") for domain in domains]
    table.add_row("first event", *(span[0] for span in spans))
    table.add_row("last event", *(span[1] for span in spans))
    table.add_row("users in both", *("" for _ in domains[1:]), format_number(summary["overlap_users"]))
    return table


def stages_table(stages: Mapping[str, Mapping[str, Any]] | Iterable[Receipt]) -> Table:
    """Return a table of the rows and seconds of every stage."""
    if not isinstance(stages, Mapping):
        stages = {receipt.stage: receipt.to_json() for receipt in stages}
    table = new_table("Stages", "stage", "rows in", "rows out", "wall s", "CPU s")
    for name, stage in stages.items():
        seconds = (format_number(stage["wall_seconds"], 2), format_number(stage["cpu_seconds"], 2))
        table.add_row(escaped(name), format_number(stage["rows_in"]), format_number(stage["rows_out"]), *seconds)
    return table


def arms_table(study: Mapping[str, Any]) -> Table:
    """Return a table of the arms: metrics (mean over seeds), and change of normalized entropy with its interval."""
    ranking = next((name for name in next(iter(study["arms"].values())) if name.startswith("ndcg")), None)
    table = new_table("Arms, all test users", "arm", "NE", "NE change [95 %]", "calibr.", "AUC", ranking or "")
    changes = _changes_by_arm(study)
    for arm, metrics in study["arms"].items():
        table.add_row(
            f"[bold]{arm}[/bold]" if arm == "scalr" else arm,
            format_number(metrics["normalized_entropy"]["mean"]),
            _change(changes.get(arm)),
            format_number(metrics["calibration_ratio"]["mean"], 3),
            format_number(metrics["auc"]["mean"]),
            format_number(metrics[ranking]["mean"]) if ranking else "",
        )
    return table


def conversions_table(study: Mapping[str, Any]) -> Table:
    """Return a table of the arms on real impressions, with both intervals of normalized entropy."""
    size = study["protocol"]["test"]["all"]
    impressions, conversions = (format_number(size[name]) for name in ("impressions", "conversions"))
    title = f"Arms, {impressions} real impressions with {conversions} conversions"
    segments = _judged_segments(study)
    heads = [f"{_short(segment)} NE" for segment in segments]
    table = new_table(title, "arm", "NE", "change [95 % seeds]", "[95 % users]", "calibr.", "AUC", *heads)
    changes = _changes_by_arm(study)
    for arm, by_segment in study["segments"].items():
        change, metrics = changes.get(arm), by_segment["all"]
        users = _change({"relative_change": None, "interval": change["interval_users"]}) if change else "–"
        table.add_row(
            f"[bold]{arm}[/bold]" if arm == "scalr" else arm,
            format_number(metrics["normalized_entropy"]["mean"]),
            _change(change),
            users.removeprefix("–").strip(),
            format_number(metrics["calibration_ratio"]["mean"], 3),
            format_number(metrics["auc"]["mean"]),
            *(format_number(by_segment[segment]["normalized_entropy"]["mean"]) for segment in segments),
        )
    return table


def calibration_table(study: Mapping[str, Any]) -> Table:
    """Return a table of calibration ratios by arm and segment, before and after calibration."""
    names = ("all", *_judged_segments(study))
    heads = [_short(name) for name in names]
    table = new_table("Calibration ratio (1 is ideal)", "arm", "calibration", *heads, "NE")
    for arm, methods in study["calibration"]["segments"].items():
        for method, segments in methods.items():
            table.add_row(
                (f"[bold]{arm}[/bold]" if arm == "scalr" else arm) if method == "raw" else "",
                {"raw": "as it is"}.get(method, method),
                *(format_number(segments[name]["calibration_ratio"]["mean"], 3) for name in names),
                format_number(segments["all"]["normalized_entropy"]["mean"]),
            )
    return table


def audit_table(audit: Mapping[str, Any]) -> Table:
    """Return a table of the checks of an audit: rows examined, and rows that are wrong."""
    table = new_table(f"Audit of {format_number(audit['rows'])} rows", "check", "examined", "wrong", "")
    for check in audit["checks"]:
        verdict = "[red]found[/red]" if check["wrong"] else "ok" if check["examined"] else "not checked"
        result = f"{verdict}: {escaped(check['detail'] or check['expected'])}"
        table.add_row(check["name"], format_number(check["examined"]), format_number(check["wrong"]), result)
    table.columns[-1].justify = "left"
    table.columns[-1].no_wrap = False
    return table


def sweep_table(name: str, sweep: Mapping[str, Any]) -> Table:
    """Return a table of the points of a sweep: events, coverage, and change of normalized entropy by segment."""
    from scalr.studies import measured_segments

    segments = [segment for segment in measured_segments(sweep) if segment != "all"]
    heads = [_short(segment) for segment in segments]
    table = new_table(f"Sweep: {name}", "point", "events", "coverage", "NE change [95 %]", *heads)
    for point in sweep["points"]:
        changes = [point["comparison"].get(one, {}).get("normalized_entropy") for one in ("all", *segments)]
        label = escaped(point["label"])
        table.add_row(
            f"[bold]{label}[/bold]" if point["base"] else label,
            format_number(round(point["synthetic_events"])),
            format_percent(point["item_coverage"], 1).removeprefix("+"),
            _change(changes[0]),
            *(format_percent(None if change is None else change["relative_change"]) for change in changes[1:]),
        )
    return table


def _judged_segments(study: Mapping[str, Any]) -> list[str]:
    """Return the segments with judged users in a study of conversions, without all users."""
    return [name for name, size in study["protocol"]["test"].items() if name != "all" and size["users"]]


def _short(segment: str) -> str:
    """Return the name of a segment for a narrow column: "naturally cold"."""
    return segment.replace("_", " ")


def _changes_by_arm(study: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes of normalized entropy against `real_only` for all test users."""
    selected = ("real_only", "all", "normalized_entropy")
    return {
        comparison["arm"]: comparison
        for comparison in study["comparisons"]
        if (comparison["baseline"], comparison["segment"], comparison["metric"]) == selected
    }


def _change(change: Mapping[str, Any] | None) -> str:
    if change is None:
        return "–"
    low, high = change["interval"] or (None, None)
    interval = "" if low is None else f" [{format_percent(low)[:-2]}, {format_percent(high)[:-2]}]"
    return format_percent(change["relative_change"]) + escaped(interval)


def coverage_sentence(manifest: Mapping[str, Any]) -> str:
    """Return the number of synthetic events and their item coverage as a sentence."""
    share = 100 * manifest["item_coverage"]
    negatives = manifest.get("synthetic_negatives")
    beside = f" (and {format_number(negatives)} negative rows beside them)" if negatives else ""
    events = format_number(manifest["synthetic_events"])
    return f"{events} synthetic events{beside} reach {share:.1f} % of the target items"
