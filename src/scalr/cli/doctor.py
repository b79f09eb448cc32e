"""`scalr doctor`: what is installed, what is missing, what this machine can do."""

from __future__ import annotations

from scalr.cli import options as o
from scalr.cli.console import Terminal, shown, table

EXAMPLE = "Example: scalr doctor --json"
_MARKS = {"ok": "[green]✓[/green]", "weak": "[yellow]![/yellow]", "missing": "[red]–[/red]"}


def command(quiet: o.QuietOption = False, as_json: o.JsonOption = False) -> None:
    """Say what is installed, what is missing and how to get it."""
    from dataclasses import asdict

    from scalr.cli.diagnosis import diagnose

    findings = diagnose()
    terminal = Terminal(quiet=quiet, as_json=as_json)
    terminal.result({"findings": [asdict(finding) for finding in findings]})
    made = table("scalr doctor", "what", "", "found", "advice")
    for column in made.columns[1:]:
        column.justify, column.no_wrap = "left", False
    for finding in findings:
        made.add_row(shown(finding.name), _MARKS[finding.state], shown(finding.value), shown(finding.advice or ""))
    terminal.show(made)
