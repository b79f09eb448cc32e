"""`scalr run`: everything a configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalr.cli import options as o
from scalr.cli.console import Terminal
from scalr.cli.jobs import refuse_noise, show_conversions, show_evidence

EXAMPLE = "Example: scalr run scalr.yaml --out run1 --set sample.draws_per_event=8"


def command(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Settings, as `scalr init` writes them.")],
    out: o.OutOption,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="a.b=c", help="Change one setting; may be repeated.", rich_help_panel=o.STEPS),
    ] = None,
    privacy: o.PrivacyOption = None,
    trials_file: o.TrialsFileOption = None,
    threads: o.ThreadsOption = None,
    memory_limit: o.MemoryLimitOption = None,
    quiet: o.QuietOption = False,
    as_json: o.JsonOption = False,
) -> None:
    """Generate synthetic events and study what they are worth, with the settings of a file."""
    from scalr import conversion_job, output
    from scalr.cli.summaries import stages_table
    from scalr.configfile import read_config
    from scalr.conversions import CONVERSIONS_SCHEMA
    from scalr.memory import use_lean_allocator

    output.check_free(out)
    use_lean_allocator()
    presets = [f"translate.privacy.{name}={value}" for name, value in o.privacy(privacy).items()]
    settings, limit = read_config(config, [*(set_ or []), *presets]), o.memory_limit(memory_limit)
    refuse_noise(settings)
    with Terminal(quiet=quiet, as_json=as_json) as terminal:
        manifest = conversion_job.run(
            settings, out, threads=threads, memory_limit=limit, trials_file=trials_file, board=terminal
        )
        for warning in manifest["warnings"]:
            terminal.note(f"! {warning}")
    terminal.result({key: value for key, value in manifest.items() if key != "evaluation"})
    terminal.show(stages_table(manifest["stages"]))
    show = show_conversions if manifest["evaluation"]["schema"] == CONVERSIONS_SCHEMA else show_evidence
    show(terminal, manifest["evaluation"], out)
