"""`scalr export`: a run's events for another library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scalr.cli import options as o
from scalr.cli.console import Terminal, shown

EXAMPLE = "Example: scalr export run1 --to recbole --out recbole/run1"
EVENTS = "Events"


def command(
    run: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="Output folder of `scalr generate` or `scalr run`.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="NAME", help="Library; --list shows them.", rich_help_panel=o.OUTPUT)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="New or empty folder; appears finished or not at all.",
            rich_help_panel=o.OUTPUT,
        ),
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="Show the libraries and how λ gets into each.", rich_help_panel=o.OUTPUT)
    ] = False,
    synthetic_weight: Annotated[
        float | None,
        typer.Option(
            "--synthetic-weight", metavar="λ", help="Weight λ; that of the run without.", rich_help_panel=EVENTS
        ),
    ] = None,
    shrinkage: Annotated[
        float | None,
        typer.Option(
            "--shrinkage", metavar="κ", help="κ, 'inf' for none; that of the run without.", rich_help_panel=EVENTS
        ),
    ] = None,
    thin: Annotated[
        bool,
        typer.Option(
            "--thin",
            help="Keep each synthetic event with its weight as probability, then with weight 1: for models that "
            "cannot weigh. Always so where the library has no weights.",
            rich_help_panel=EVENTS,
        ),
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="N", help="Of thinning and negatives; that of the run without.", rich_help_panel=EVENTS
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", "-t", metavar="FILES", help="Target log, if it has moved.", rich_help_panel=EVENTS),
    ] = None,
    quiet: o.QuietOption = False,
    as_json: o.JsonOption = False,
) -> None:
    """Join real target events and weighted synthetic ones, and write them as another library reads them."""
    from scalr.adapters import get_adapter

    with Terminal(quiet=quiet, as_json=as_json) as terminal:
        if list_:
            _list(terminal)
            return
        run, out, adapter = _asked(run, "RUN"), _asked(out, "--out DIR"), get_adapter(_asked(to, "--to NAME"))
        from scalr.adapters import export

        facts = export(
            run, adapter.name, out, board=terminal, target=target, synthetic_weight=synthetic_weight,
            shrinkage=shrinkage, seed=seed, thinned=thin,
        )  # fmt: skip
        for note in facts["notes"]:
            terminal.note(f"! {note}")
    terminal.result(facts)
    terminal.show(shown(_told(facts, out)), shown(f"Load: {facts['load']}"))


def _asked(value: Any, what: str) -> Any:
    from scalr.foundation import ConfigError

    if value is None:
        raise ConfigError(
            f"{what} is missing",
            expected="scalr export RUN --to NAME --out DIR",
            fix="`scalr export --list` shows names",
        )
    return value


def _told(facts: dict[str, Any], out: Path) -> str:
    lam, kappa = facts["synthetic_weight"], facts["shrinkage"]
    law = f"λ = {lam:g}" + (f", κ = {kappa:g}" if kappa is not None else ", no shrinkage")
    how = "kept with their weight as probability" if facts["thinned"] else f"as weights ({facts['where']})"
    return f"{facts['rows']:,} {facts['row']} for {facts['title']} in {out}; synthetic events {how}, {law}"


def _list(terminal: Terminal) -> None:
    from rich.table import Table

    from scalr.adapters import ADAPTERS

    terminal.result({name: one.described() for name, one in ADAPTERS.items()})
    table = Table("--to", "library", "λ", "where", "writes", "needs extra", box=None, header_style="bold")
    for name, one in ADAPTERS.items():
        table.add_row(name, one.title, one.how, one.where, one.files, one.needs or "–")
    terminal.show(table)
