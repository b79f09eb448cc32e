"""`scalr inspect`: what is in a finished folder, or in a pair of logs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalr.cli import options as o
from scalr.cli.console import Terminal

EXAMPLE = "Examples: scalr inspect run1 | scalr inspect --source feed.parquet --target ads.parquet"


def command(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="A finished folder of run, generate, study or demo.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            "-s",
            metavar="[NAME=]FILES",
            help="Source log, to look at logs instead.",
            rich_help_panel=o.LOGS,
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", "-t", metavar="FILES", help="Target log.", rich_help_panel=o.LOGS)
    ] = None,
    items: o.ItemsOption = None,
    user: o.UserOption = None,
    item: o.ItemOption = None,
    time: o.TimeOption = None,
    label: o.LabelOption = None,
    value: o.ValueOption = None,
    weight: o.WeightOption = None,
    quiet: o.QuietOption = False,
    as_json: o.JsonOption = False,
) -> None:
    """Show a run's stages and check that its files are as they were written; or show what is in logs."""
    from scalr.errors import ConfigError

    if (folder is None) == (source is None or target is None):
        raise ConfigError(
            "inspect got neither a run's folder nor a source and a target log"
            if folder is None
            else "inspect got both a folder and logs",
            expected="one finished folder, or --source and --target",
            fix="scalr inspect DIR, or scalr inspect --source S --target T",
        )
    if folder is not None:
        _inspect_run(folder, Terminal(quiet=quiet, as_json=as_json))
    else:
        columns = o.columns(user, item, time, label, value, weight)
        _inspect_logs(source or [], target or "", items, columns, Terminal(quiet=quiet, as_json=as_json))


def _inspect_run(folder: Path, terminal: Terminal) -> None:
    from scalr.cli.summaries import reach, stages_table
    from scalr.output import check_outputs, read_manifest

    manifest = read_manifest(folder)
    with terminal:
        advance = terminal.stage("checking files", len(manifest["outputs"]), "files")
        changed = check_outputs(folder, manifest, advance)
    terminal.result({**manifest, "changed_files": changed})
    lines = [
        f"{manifest['command']} of scalr {manifest['version']}, seed {manifest['seed']}, made {manifest['created_at']}"
    ]
    lines.append(reach(manifest))
    files = len(manifest["outputs"])
    lines.append(
        f"all {files} files are as they were written" if not changed else f"changed since: {', '.join(changed)}"
    )
    terminal.show(stages_table(manifest["stages"]), "", *lines)
    if changed:
        raise typer.Exit(1)


def _inspect_logs(source: list[str], target: str, items: str | None, columns: object, terminal: Terminal) -> None:
    from scalr.cli.jobs import read
    from scalr.cli.summaries import pair_table
    from scalr.schema import Columns
    from scalr.summary import summarise

    assert isinstance(columns, Columns)
    with terminal:
        pair, _, _ = read(terminal, source, target, items, columns, None, "auto", False)
    summary = summarise(pair)
    terminal.result(summary.to_json())
    found = ", ".join(f"{role} = {name}" for role, name in pair.target.columns.roles() if name)
    terminal.show(pair_table(summary.to_json()), f"\ncolumns of the target log: {found}")
