"""`scalr demo`: the whole flow on data that a package ships."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from scalr.cli import options as o
from scalr.cli.console import Terminal
from scalr.cli.results import show_evidence

EXAMPLE = "Example: scalr demo --out demo"


def command(
    out: o.OutOption = Path("scalr-demo"),
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", min=1, help="Repetitions.", rich_help_panel=o.STEPS)
    ] = 5,
    threads: o.ThreadsOption = None,
    quiet: o.QuietOption = False,
    as_json: o.JsonOption = False,
) -> None:
    """Run everything on a year of shopping: groceries as source, drug-store goods as target."""
    from scalr.cli.summaries import stages_table
    from scalr.runs import check_free, demo, run

    check_free(out)
    with (
        tempfile.TemporaryDirectory(prefix="scalr-demo-") as folder,
        Terminal(quiet=quiet, as_json=as_json) as terminal,
    ):
        terminal.note(
            "Groceries as source, drug-store goods as target: one year, 2,500 households (simulated from real)."
        )
        terminal.stage("unpacking the demo's logs")
        settings = demo.settings(Path(folder), seeds)
        manifest = run(
            settings,
            out,
            threads=threads,
            board=terminal,
            notes=(demo.NOTE,),
            title="Groceries → drug-store goods",
            resume=None,  # its logs are made anew in another folder
        )
    terminal.result({key: value for key, value in manifest.items() if key != "evaluation"})
    terminal.show(stages_table(manifest["stages"]))
    show_evidence(terminal, manifest["evaluation"], out)
