"""`scalr init`: a commented configuration for a pair of logs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from scalr.cli.console import escaped
from scalr.cli.inputs import read_with_warnings
from scalr.cli.option_groups import OptionGroup, with_options
from scalr.cli.options import DISPLAY, LOGS, DisplayOptions
from scalr.foundation import LogSettings, Option, Settings

EXAMPLE = "Example: scalr init scalr.yaml --source feed.parquet --target ads.parquet && scalr run scalr.yaml --out run1"


class InitOptions(Settings):
    """What `scalr init` writes."""

    config: Annotated[Path, Option(metavar="CONFIG.yaml")]
    """File to write; an existing file is never overwritten."""


@with_options(target=OptionGroup(InitOptions), logs=LOGS, display=DISPLAY)
def command(target: InitOptions, logs: LogSettings, display: DisplayOptions) -> None:
    """Read the logs and write a configuration with every setting, its default and its meaning."""
    from scalr.cli.summaries import logs_table
    from scalr.logs import summarise
    from scalr.runs import check_new, write_config

    file = target.config
    check_new(file)
    with display.terminal() as terminal:
        pair, _ = read_with_warnings(logs, terminal)
        write_config(file, pair, logs.model_dump(mode="json"))
    summary = summarise(pair).to_json()
    terminal.result({"config": str(file), "pair": summary})
    terminal.show(logs_table(summary), f"\nWrote {escaped(file)}. Next: scalr run {escaped(file)} --out DIR")
