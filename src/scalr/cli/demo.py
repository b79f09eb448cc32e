"""`scalr demo`: the whole workflow on data that ships with a package."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from scalr.cli.option_groups import with_options
from scalr.cli.options import DISPLAY, OUTPUT, DisplayOptions, OutputOptions, steps_of
from scalr.cli.results import show_evidence
from scalr.foundation import Steps

EXAMPLE = "Example: scalr demo --out demo"


@with_options(
    output=replace(OUTPUT, only=("out", "threads"), defaults={"out": Path("scalr-demo")}),
    steps=steps_of("study.seeds"),
    display=DISPLAY,
)
def command(output: OutputOptions, steps: Steps, display: DisplayOptions) -> None:
    """Generate and evaluate on a year of shopping: groceries as source, drug-store goods as target."""
    from scalr.cli.summaries import stages_table
    from scalr.runs import check_free, demo, run

    check_free(output.out)
    with tempfile.TemporaryDirectory(prefix="scalr-demo-") as folder, display.terminal() as terminal:
        terminal.note(
            "Groceries as source, drug-store goods as target: one year, 2,500 households (simulated from real data)."
        )
        terminal.stage("unpacking the logs of the demo")
        manifest = run(
            demo.settings(Path(folder), steps.study.seeds),
            output.out,
            threads=output.threads,
            board=terminal,
            notes=(demo.NOTE,),
            title="Groceries → drug-store goods",
            resume=None,  # the logs are written to a new folder each time
        )
    terminal.result({key: value for key, value in manifest.items() if key != "evaluation"})
    terminal.show(stages_table(manifest["stages"]))
    show_evidence(terminal, manifest["evaluation"], output.out)
