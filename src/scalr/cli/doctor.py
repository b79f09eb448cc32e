"""`scalr doctor`: installed and missing packages, and the capacity of the machine."""

from __future__ import annotations

from scalr.cli.console import escaped, new_table
from scalr.cli.option_groups import with_options
from scalr.cli.options import DISPLAY, DisplayOptions

EXAMPLE = "Example: scalr doctor --json"
_MARKS = {"ok": "[green]✓[/green]", "weak": "[yellow]![/yellow]", "missing": "[red]–[/red]"}


@with_options(display=DISPLAY)
def command(display: DisplayOptions) -> None:
    """List what is installed, what is missing and how to install it."""
    from scalr.cli.diagnosis import diagnose

    checks = diagnose()
    terminal = display.terminal()
    terminal.result({"findings": [check.to_json() for check in checks]})
    table = new_table("scalr doctor", "what", "", "found", "advice")
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "left", False
    for check in checks:
        table.add_row(escaped(check.name), _MARKS[check.state], escaped(check.value), escaped(check.advice or ""))
    terminal.show(table)
