"""Tables of what a command found, made from the same JSON that it writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from scalr.cli.console import number, percent, shown, table
from scalr.foundation import Receipt


def pair_table(summary: Mapping[str, Any]) -> Table:
    """Return users, items, events and times, a column per domain."""
    domains = summary["domains"]
    made = table("Logs", "", *(shown(domain["name"]) for domain in domains))
    for name in ("users", "items", "events"):
        made.add_row(name, *(number(domain[name]) for domain in domains))
    made.add_row("distinct pairs", *(number(domain["interactions"]) for domain in domains))
    densities = (domain["density"] for domain in domains)
    made.add_row("density", *("–" if density is None else f"{100 * density:.3f} %" for density in densities))
    spans = [domain.get("time_range") or ("–", "") for domain in domains]
    made.add_row("first event", *(span[0] for span in spans))
    made.add_row("last event", *(span[1] for span in spans))
    made.add_row("users in both", *("" for _ in domains[1:]), number(summary["overlap_users"]))
    return made


def stages_table(stages: Mapping[str, Mapping[str, Any]] | Iterable[Receipt]) -> Table:
    """Return rows in and out and the seconds of every stage."""
    if not isinstance(stages, Mapping):
        stages = {receipt.stage: receipt.to_json() for receipt in stages}
    made = table("Stages", "stage", "rows in", "rows out", "wall s", "CPU s")
    for name, stage in stages.items():
        seconds = (number(stage["wall_seconds"], 2), number(stage["cpu_seconds"], 2))
        made.add_row(shown(name), number(stage["rows_in"]), number(stage["rows_out"]), *seconds)
    return made


def arms_table(study: Mapping[str, Any]) -> Table:
    """Return the main metrics of every arm (mean over seeds) and its change of normalized entropy with its interval."""
    ranking = next((name for name in next(iter(study["arms"].values())) if name.startswith("ndcg")), None)
    made = table("Arms, all test users", "arm", "NE", "NE change [95 %]", "calibr.", "AUC", ranking or "")
    changes = {
        c["arm"]: c
        for c in study["comparisons"]
        if c["baseline"] == "real_only" and c["segment"] == "all" and c["metric"] == "normalized_entropy"
    }
    for arm, metrics in study["arms"].items():
        made.add_row(
            f"[bold]{arm}[/bold]" if arm == "scalr" else arm,
            number(metrics["normalized_entropy"]["mean"]),
            _change(changes.get(arm)),
            number(metrics["calibration_ratio"]["mean"], 3),
            number(metrics["auc"]["mean"]),
            number(metrics[ranking]["mean"]) if ranking else "",
        )
    return made


def conversions_table(study: Mapping[str, Any]) -> Table:
    """Return the metrics of every arm on real impressions, with both intervals of normalized entropy."""
    size = study["protocol"]["test"]["all"]
    title = f"Arms, {number(size['impressions'])} real impressions with {number(size['conversions'])} conversions"
    made = table(title, "arm", "NE", "change [95 % seeds]", "[95 % users]", "calibr.", "AUC", "warm NE", "cold NE")
    changes = {
        one["arm"]: one
        for one in study["comparisons"]
        if (one["baseline"], one["segment"], one["metric"]) == ("real_only", "all", "normalized_entropy")
    }
    for arm, segments in study["segments"].items():
        change, own = changes.get(arm), segments["all"]
        users = _change({"relative_change": None, "interval": change["interval_users"]}) if change else "–"
        made.add_row(
            f"[bold]{arm}[/bold]" if arm == "scalr" else arm,
            number(own["normalized_entropy"]["mean"]),
            _change(change),
            users.removeprefix("–").strip(),
            number(own["calibration_ratio"]["mean"], 3),
            number(own["auc"]["mean"]),
            *(number(segments[segment]["normalized_entropy"]["mean"]) for segment in ("warm", "cold")),
        )
    return made


def calibration_table(study: Mapping[str, Any]) -> Table:
    """Return calibration ratios of every arm before and after calibration, by segment."""
    made = table("Calibration ratio (1 is ideal)", "arm", "calibration", "all", "warm", "cold", "NE")
    for arm, methods in study["calibration"]["segments"].items():
        for method, segments in methods.items():
            made.add_row(
                (f"[bold]{arm}[/bold]" if arm == "scalr" else arm) if method == "raw" else "",
                {"raw": "as it is"}.get(method, method),
                *(number(segments[segment]["calibration_ratio"]["mean"], 3) for segment in ("all", "warm", "cold")),
                number(segments["all"]["normalized_entropy"]["mean"]),
            )
    return made


def audit_table(audit: Mapping[str, Any]) -> Table:
    """Return every check of an audit: how many rows were examined, and how many are wrong."""
    made = table(f"Audit of {number(audit['rows'])} rows", "check", "examined", "wrong", "")
    for check in audit["checks"]:
        verdict = "[red]found[/red]" if check["wrong"] else "ok" if check["examined"] else "not checked"
        told = f"{verdict}: {shown(check['detail'] or check['expected'])}"
        made.add_row(check["name"], number(check["examined"]), number(check["wrong"]), told)
    made.columns[-1].justify = "left"
    made.columns[-1].no_wrap = False
    return made


def sweep_table(name: str, sweep: Mapping[str, Any]) -> Table:
    """Return a sweep's points: events, coverage and the change of normalized entropy by segment."""
    made = table(f"Sweep: {name}", "point", "events", "coverage", "NE change [95 %]", "warm", "cold")
    for point in sweep["points"]:
        changes = [
            point["comparison"].get(segment, {}).get("normalized_entropy") for segment in ("all", "warm", "cold")
        ]
        label = shown(point["label"])
        made.add_row(
            f"[bold]{label}[/bold]" if point["base"] else label,
            number(round(point["synthetic_events"])),
            percent(point["item_coverage"], 1).removeprefix("+"),
            _change(changes[0]),
            *(percent(None if change is None else change["relative_change"]) for change in changes[1:]),
        )
    return made


def _change(change: Mapping[str, Any] | None) -> str:
    if change is None:
        return "–"
    low, high = change["interval"] or (None, None)
    interval = "" if low is None else f" [{percent(low)[:-2]}, {percent(high)[:-2]}]"
    return percent(change["relative_change"]) + shown(interval)


def reach(manifest: Mapping[str, Any]) -> str:
    """Return how many synthetic events there are and how much of the catalogue they reach, as a sentence."""
    share = 100 * manifest["item_coverage"]
    negatives = manifest.get("synthetic_negatives")
    beside = f" (and {number(negatives)} negative rows beside them)" if negatives else ""
    return f"{number(manifest['synthetic_events'])} synthetic events{beside} reach {share:.1f} % of the target items"
