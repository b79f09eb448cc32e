"""Tables of what a command found, made from the same JSON that it writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from scalr.cli.console import number, percent, table
from scalr.receipt import Receipt


def pair_table(summary: Mapping[str, Any]) -> Table:
    """Return users, items, events and times of every domain."""
    made = table("Logs", "domain", "users", "items", "events", "pairs", "density", "time")
    for domain in summary["domains"]:
        density = domain["density"]
        span = domain.get("time_range")
        made.add_row(
            escape(str(domain["name"])),
            number(domain["users"]),
            number(domain["items"]),
            number(domain["events"]),
            number(domain["interactions"]),
            "–" if density is None else f"{100 * density:.3f} %",
            "–" if not span else " to ".join(span),
        )
    return made


def stages_table(stages: Mapping[str, Mapping[str, Any]] | Iterable[Receipt]) -> Table:
    """Return rows in and out and the seconds of every stage."""
    if not isinstance(stages, Mapping):
        stages = {receipt.stage: receipt.to_json() for receipt in stages}
    made = table("Stages", "stage", "rows in", "rows out", "wall s", "CPU s")
    for name, stage in stages.items():
        seconds = (number(stage["wall_seconds"], 2), number(stage["cpu_seconds"], 2))
        made.add_row(escape(name), number(stage["rows_in"]), number(stage["rows_out"]), *seconds)
    return made


def arms_table(study: Mapping[str, Any]) -> Table:
    """Return the metrics of every arm (mean over seeds) beside its relative change of normalized entropy."""
    names = list(next(iter(study["arms"].values())))
    ranking = [name for name in names if name.startswith(("recall", "ndcg"))]
    made = table("Arms, all test users", "arm", "NE", "change", "95 % interval", "calibration", "AUC", *ranking)
    changes = {
        c["arm"]: c
        for c in study["comparisons"]
        if c["baseline"] == "real_only" and c["segment"] == "all" and c["metric"] == "normalized_entropy"
    }
    for arm, metrics in study["arms"].items():
        change = changes.get(arm)
        low, high = (change["interval"] or (None, None)) if change else (None, None)
        interval = f"{percent(low)} to {percent(high)}" if low is not None else "–"
        means = {name: metrics[name]["mean"] for name in names}
        made.add_row(
            f"[bold]{arm}[/bold]" if arm == "scalr" else arm,
            number(means["normalized_entropy"]),
            percent(change["relative_change"]) if change else "–",
            interval,
            number(means["calibration_ratio"], 3),
            number(means["auc"]),
            *(number(means[name]) for name in ranking),
        )
    return made


def reach(manifest: Mapping[str, Any]) -> str:
    """Return how many synthetic events there are and how much of the catalogue they reach, as a sentence."""
    share = 100 * manifest["item_coverage"]
    return f"{number(manifest['synthetic_events'])} synthetic events reach {share:.1f} % of the target items"
