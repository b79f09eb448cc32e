"""What several commands do alike: settings from options, reading with progress, showing evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalr.cli.console import Terminal, shown

if TYPE_CHECKING:
    from scalr.runs import RunPlan


def shows_finished(terminal: Terminal, out: Path, plan: RunPlan) -> bool:
    """Say that there is nothing to go on with where the output is finished; return whether it is."""
    from scalr.runs import already_finished

    manifest = already_finished(out, plan)
    if manifest is not None:
        terminal.result(manifest)
        terminal.show(f"'{out}' is finished already; there is nothing to go on with.")
    return manifest is not None


def show_evidence(terminal: Terminal, content: dict[str, Any], out: Path) -> None:
    """Print the table of arms, the verdict and where the report is."""
    from scalr.cli.summaries import arms_table
    from scalr.studies import verdict

    judged = verdict(content)
    terminal.show(
        arms_table(content),
        f"\n[bold]{shown(judged.headline)}[/bold]",
        *(shown(sentence) for sentence in judged.sentences),
        f"\nReport: {shown(out / 'report.html')}",
    )


def show_conversions(terminal: Terminal, content: dict[str, Any], out: Path) -> None:
    """Print the tables of a study of conversions, what was found, and where the report is."""
    from scalr.cli.summaries import calibration_table, conversions_table
    from scalr.studies import finding

    found = finding(content)
    terminal.show(
        conversions_table(content),
        calibration_table(content),
        f"\n[bold]{shown(found.headline)}[/bold]",
        *(shown(sentence) for sentence in found.sentences),
        f"\nReport: {shown(out / 'report.html')}",
    )


def show_sweeps(terminal: Terminal, content: dict[str, Any], out: Path) -> None:
    """Print a table per sweep, what was found, and where the report is."""
    from scalr.cli.summaries import sweep_table

    for name, sweep in content["sweeps"].items():
        terminal.show(sweep_table(name, sweep), shown(sweep["finding"]) + "\n")
    terminal.show(f"Report: {shown(out / 'report.html')}")
