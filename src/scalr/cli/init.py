"""`scalr init`: a commented configuration made from the logs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalr.cli import options as o
from scalr.cli.console import Terminal, shown
from scalr.cli.inputs import LogOptions
from scalr.logs import Columns

EXAMPLE = "Example: scalr init scalr.yaml --source feed.parquet --target ads.parquet && scalr run scalr.yaml --out run1"


def command(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="File to write; never overwritten.")],
    source: o.SourceOption,
    target: o.TargetOption,
    items: o.ItemsOption = None,
    user: o.UserOption = None,
    item: o.ItemOption = None,
    time: o.TimeOption = None,
    label: o.LabelOption = None,
    value: o.ValueOption = None,
    weight: o.WeightOption = None,
    source_columns: o.SourceColumnsOption = None,
    target_columns: o.TargetColumnsOption = None,
    time_unit: o.TimeUnitOption = None,
    ids: o.IdsOption = "auto",
    drop_nulls: o.DropNullsOption = False,
    quiet: o.QuietOption = False,
    as_json: o.JsonOption = False,
) -> None:
    """Look at the logs and write a configuration with every setting, its default and what it means."""
    from scalr.cli.summaries import pair_table
    from scalr.logs import summarise
    from scalr.runs import check_new, write_config

    check_new(config)
    columns = Columns(user, item, time, label, value, weight)
    logs = LogOptions(source, target, items, columns, source_columns, target_columns, time_unit, ids, drop_nulls)
    with Terminal(quiet=quiet, as_json=as_json) as terminal:
        pair, _ = logs.read(terminal)
        write_config(config, pair, logs.settings())
    summary = summarise(pair).to_json()
    terminal.result({"config": str(config), "pair": summary})
    terminal.show(pair_table(summary), f"\nWrote {shown(config)}. Next: scalr run {shown(config)} --out DIR")
