"""Option groups that several commands share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from scalr.cli.console import Terminal
from scalr.cli.option_groups import OptionGroup, TextForm
from scalr.cli.option_texts import parse_alignment, parse_columns, parse_privacy, parse_sources
from scalr.foundation import AlignSettings, LogSettings, Option, Settings, Steps, parse_bytes

if TYPE_CHECKING:
    from scalr.runs import Execution

Threads = Annotated[int, Field(ge=1, le=1024)]
STEPS_PANEL, OUTPUT_PANEL = "Steps", "Output"


class DisplayOptions(Settings):
    """What a command prints."""

    quiet: Annotated[bool, Option("--quiet", "-q")] = False
    """Print errors only."""
    as_json: Annotated[bool, Option("--json")] = False
    """Print one JSON object instead of tables."""

    def terminal(self) -> Terminal:
        """Return a terminal that prints this."""
        return Terminal(quiet=self.quiet, as_json=self.as_json)


class OutputOptions(Settings):
    """Where a command writes, and which resources it uses."""

    out: Annotated[Path, Option("--out", "-o", metavar="DIR")]
    """Output folder, new or empty; it appears when it is complete."""
    threads: Annotated[Threads | None, Option("--threads", metavar="N")] = None
    """Number of threads, by default all cores; results do not depend on it."""
    memory_limit: Annotated[str | None, Option("--memory-limit", metavar="SIZE")] = None
    """Memory limit such as 8GB, by default three quarters of the free memory. Events beyond the limit go to temporary
    files beside --out; results do not depend on it."""
    resume: Annotated[bool, Option("--resume")] = False
    """Continue an interrupted run into --out; the result equals that of an uninterrupted run."""

    def memory_bytes(self) -> int | None:
        """Return the memory limit in bytes; None without a limit.

        Raises:
            ConfigError: If the limit is not a size, or too small.
        """
        return None if self.memory_limit is None else parse_bytes(self.memory_limit)

    def execution(self, terminal: Terminal, trials_file: Path | None = None) -> Execution:
        """Return the resources of a run that shows its progress on a terminal."""
        from scalr.runs import Execution

        return Execution(self.threads, self.memory_bytes(), self.resume, trials_file, terminal)


class TrialsOptions(Settings):
    """Where a study saves its trials."""

    trials_file: Annotated[Path | None, Option("--trials-file", metavar="FILE")] = None
    """Save the trials of the hyper-parameter search here (JSON lines); an interrupted study resumes from them."""


DISPLAY = OptionGroup(DisplayOptions, OUTPUT_PANEL)
OUTPUT = OptionGroup(OutputOptions, OUTPUT_PANEL)
LOGS = OptionGroup(
    LogSettings,
    "Logs",
    forms={
        "source": TextForm(parse_sources, kind=list[str]),
        "source_columns": TextForm(parse_columns),
        "target_columns": TextForm(parse_columns),
    },
)
STEPS = OptionGroup(
    Steps,
    STEPS_PANEL,
    only=("translate", "sample", "refine", "seed"),
    forms={
        "translate.privacy": TextForm(parse_privacy),
        "refine.align": TextForm(parse_alignment, ",".join(AlignSettings().by), str),
    },
)


def steps_of(*names: str, **defaults: str) -> OptionGroup:
    """Return the options of other settings.

    Args:
        names: Dotted names of fields and sections of `Steps`, in the order of the help.
        defaults: Defaults other than those of the fields, by section and name with two underscores between.
    """
    return replace(STEPS, only=names, defaults={name.replace("__", "."): value for name, value in defaults.items()})
