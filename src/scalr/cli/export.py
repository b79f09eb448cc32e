"""`scalr export`: the events of a run for another library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from scalr.cli.console import Terminal, escaped
from scalr.cli.option_groups import OptionGroup, with_options
from scalr.cli.options import DISPLAY, OUTPUT_PANEL, DisplayOptions
from scalr.foundation import ConfigError, Option, Settings

EXAMPLE = "Example: scalr export run1 --to recbole --out recbole/run1"
_Value = TypeVar("_Value")


class ExportOptions(Settings):
    """Where the events come from, and where they go."""

    run: Annotated[Path | None, Option(metavar="RUN")] = None
    """Output folder of `scalr generate` or `scalr run`."""
    to: Annotated[str | None, Option("--to", metavar="NAME")] = None
    """Library; --list shows all."""
    out: Annotated[Path | None, Option("--out", "-o", metavar="DIR")] = None
    """Output folder, new or empty; it appears when it is complete."""
    is_list: Annotated[bool, Option("--list")] = False
    """List the libraries and how λ gets into each."""


class EventOptions(Settings):
    """Which events are exported, and with which weights."""

    synthetic_weight: Annotated[float | None, Option("--synthetic-weight", metavar="λ")] = None
    """Weight λ; by default that of the run."""
    shrinkage: Annotated[float | None, Option("--shrinkage", metavar="κ")] = None
    """κ, 'inf' for no shrinkage; by default that of the run."""
    thinned: Annotated[bool, Option("--thin")] = False
    """Keep each synthetic event with its weight as probability, and give it weight 1, for models without sample
    weights. This is the default for libraries without weights."""
    seed: Annotated[int | None, Option("--seed", metavar="N")] = None
    """Seed of thinning and negatives; by default that of the run."""
    target: Annotated[str | None, Option("--target", "-t", metavar="FILES")] = None
    """Target log, if it has moved."""


@with_options(
    request=OptionGroup(ExportOptions, OUTPUT_PANEL), events=OptionGroup(EventOptions, "Events"), display=DISPLAY
)
def command(request: ExportOptions, events: EventOptions, display: DisplayOptions) -> None:
    """Join real target events and weighted synthetic events, and write them in the format of another library."""
    from scalr.adapters import export, get_adapter

    with display.terminal() as terminal:
        if request.is_list:
            _list(terminal)
            return
        run, out = _required(request.run, "RUN"), _required(request.out, "--out DIR")
        adapter = get_adapter(_required(request.to, "--to NAME"))
        facts = export(run, adapter.name, out, board=terminal, **events.model_dump())
        for note in facts["notes"]:
            terminal.note(f"! {note}")
    terminal.result(facts)
    terminal.show(escaped(_summary(facts, out)), escaped(f"Load: {facts['load']}"))


def _required(value: _Value | None, what: str) -> _Value:
    if value is None:
        raise ConfigError(
            f"{what} is missing",
            expected="scalr export RUN --to NAME --out DIR",
            fix="`scalr export --list` shows names",
        )
    return value


def _summary(facts: dict[str, Any], out: Path) -> str:
    lam, kappa = facts["synthetic_weight"], facts["shrinkage"]
    weights = f"λ = {lam:g}" + (f", κ = {kappa:g}" if kappa is not None else ", no shrinkage")
    how = "kept with their weight as probability" if facts["thinned"] else f"as weights ({facts['where']})"
    return f"{facts['rows']:,} {facts['row']} for {facts['title']} in {out}; synthetic events {how}, {weights}"


def _list(terminal: Terminal) -> None:
    from rich.table import Table

    from scalr.adapters import ADAPTERS

    terminal.result({name: adapter.described() for name, adapter in ADAPTERS.items()})
    table = Table("--to", "library", "λ", "where", "writes", "needs extra", box=None, header_style="bold")
    for name, adapter in ADAPTERS.items():
        table.add_row(name, adapter.title, adapter.how, adapter.where, adapter.files, adapter.needs or "–")
    terminal.show(table)
