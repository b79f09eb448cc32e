"""Results of studies, shown as tables and sentences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalr.cli.console import Terminal, escaped

if TYPE_CHECKING:
    from scalr.runs import RunPlan


def shows_finished(terminal: Terminal, out: Path, plan: RunPlan) -> bool:
    """Return whether the output is complete already, and show it if so."""
    from scalr.runs import already_finished

    manifest = already_finished(out, plan)
    if manifest is not None:
        terminal.result(manifest)
        terminal.show(f"'{out}' is complete already; there is nothing to resume.")
    return manifest is not None


def show_evidence(terminal: Terminal, content: dict[str, Any], out: Path) -> None:
    """Print the table of arms, the verdict and the path of the report."""
    from scalr.cli.summaries import arms_table
    from scalr.studies import verdict

    conclusion = verdict(content)
    terminal.show(
        arms_table(content),
        f"\n[bold]{escaped(conclusion.headline)}[/bold]",
        *(escaped(sentence) for sentence in conclusion.sentences),
        f"\nReport: {escaped(out / 'report.html')}",
    )


def show_conversions(terminal: Terminal, content: dict[str, Any], out: Path) -> None:
    """Print the tables of a study of conversions, its finding and the path of the report."""
    from scalr.cli.summaries import calibration_table, conversions_table
    from scalr.studies import impression_finding

    conclusion = impression_finding(content)
    terminal.show(
        conversions_table(content),
        calibration_table(content),
        f"\n[bold]{escaped(conclusion.headline)}[/bold]",
        *(escaped(sentence) for sentence in conclusion.sentences),
        f"\nReport: {escaped(out / 'report.html')}",
    )


def show_sweeps(terminal: Terminal, content: dict[str, Any], out: Path) -> None:
    """Print a table and a finding per sweep, and the path of the report."""
    from scalr.cli.summaries import sweep_table
    from scalr.studies import split_warnings

    for sentence in split_warnings(content):
        terminal.show(escaped(sentence))
    for name, sweep in content["sweeps"].items():
        terminal.show(sweep_table(name, sweep), escaped(sweep["finding"]) + "\n")
    terminal.show(f"Report: {escaped(out / 'report.html')}")
