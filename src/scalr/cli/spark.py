"""Commands with `--engine spark`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from scalr.cli.console import Terminal, format_number, new_table
from scalr.cli.option_groups import OptionGroup
from scalr.cli.options import OUTPUT_PANEL, OutputOptions
from scalr.foundation import ConfigError, Option, Settings

if TYPE_CHECKING:
    from scalr.foundation import LogSettings, RunSettings, Steps
    from scalr.logs import LogRequest

PLAN_LABELS = {
    "source_events": "source events",
    "target_events": "target events",
    "known_share": "share of source events by users with target items",
    "paths": "paths, at most",
    "parts": "parts: tasks of each pass",
    "split_items": "items split over several parts",
    "passes": "passes over the parts",
    "shuffle_bytes": "shuffled once, at most, before compression",
    "rows": "synthetic rows, at most",
    "machine_bytes": "memory per machine, shared by its tasks",
    "task_bytes": "memory per task, about",
}
_SIZES = {"shuffle_bytes", "machine_bytes", "task_bytes"}


class SparkOptions(Settings):
    """Which engine generates, and how Spark is reached."""

    engine: Annotated[Literal["local", "spark"], Option("--engine")] = "local"
    """Engine that generates the events; Spark needs the extra `spark`."""
    master: Annotated[str | None, Option("--spark-master", metavar="URL")] = None
    """--engine spark: the master, such as spark://host:7077, yarn or local[4]; local[*] by default."""
    conf: Annotated[tuple[str, ...], Option("--spark-conf", metavar="NAME=VALUE")] = ()
    """--engine spark: a setting of Spark; may be repeated."""
    day: Annotated[str | None, Option("--day", metavar="YYYY-MM-DD")] = None
    """--engine spark: generate only the synthetic events of this day, into a partition of --out; those of other days
    are retained."""
    dry_run: Annotated[bool, Option("--dry-run")] = False
    """--engine spark: estimate the resources from counts alone, and write nothing."""

    def check(self, layout: str, *, leaks: bool, resume: bool = False) -> None:
        """Refuse options that exclude each other, before any work is done.

        Raises:
            ConfigError: If an option belongs to another engine, or Spark does not support it.
        """
        from scalr.engines import parse_day, require_spark, spark_settings
        from scalr.runs import check_layout

        if self.engine == "local":
            self._check_unused()
            return
        if resume:
            self.check_local("--resume")
        spark_settings(list(self.conf))
        if self.master is not None and (not self.master or any(letter.isspace() for letter in self.master)):
            raise ConfigError(
                f"--spark-master is '{self.master}'",
                expected="a master without blanks, such as local[4], yarn or spark://host:7077",
                fix="correct it, or omit --spark-master",
            )
        check_layout(layout)
        if leaks:
            raise ConfigError(
                "the check for leaky columns needs the rows in memory",
                expected="--check-leaks and --drop-leaky with --engine local",
                fix="check a sample of the events with scalr.find_leaks",
            )
        if self.day is not None:
            parse_day(self.day)
        require_spark()

    def _check_unused(self) -> None:
        """Refuse options of Spark with the local engine."""
        options: dict[str, Any] = {"--spark-master": self.master, "--spark-conf": self.conf, "--day": self.day}
        options["--dry-run"] = self.dry_run
        if option := next((name for name, value in options.items() if value), None):
            raise ConfigError(
                f"{option} is given, but the engine is 'local'",
                expected=f"{option} with --engine spark",
                fix=f"add --engine spark, or omit {option}",
            )

    def check_local(self, option: str) -> None:
        """Refuse an option of the local engine with another engine.

        Raises:
            ConfigError: If the engine is another one.
        """
        if self.engine != "local":
            raise ConfigError(
                f"{option} is given, but the engine is '{self.engine}'",
                expected=f"{option} with --engine local; Spark itself repeats lost tasks",
                fix=f"omit {option} or --engine",
            )

    def generate(self, logs: LogSettings, steps: Steps, out: Path, terminal: Terminal) -> None:
        """Generate synthetic events with Spark and print a summary."""
        from scalr.cli.summaries import coverage_sentence, stages_table
        from scalr.engines import own_session, parse_day, spark_settings
        from scalr.logs import LogRequest
        from scalr.runs import write_generation_on_spark
        from scalr.studies import privacy_sentence

        request = LogRequest.from_settings(logs, item_columns=steps.negatives.kind != "none")
        with terminal, own_session(self.master, spark_settings(list(self.conf))) as session:
            if self.dry_run:
                _show_plan(request, steps, terminal, session)
                return
            day = None if self.day is None else parse_day(self.day)
            manifest = write_generation_on_spark(
                session, request, steps, out, settings=logs.model_dump(mode="json"), day=day, board=terminal
            )
        for warning in manifest["warnings"]:
            terminal.note(f"! {warning}")
        terminal.result(manifest)
        terminal.show(
            stages_table(manifest["stages"]),
            f"\n{coverage_sentence(manifest)}. Written to {out}",
            *filter(None, [privacy_sentence(manifest["privacy"])]),
            "To measure on a sample whether they help a model, run [bold]scalr study[/bold].",
        )

    def run(
        self, settings: RunSettings, output: OutputOptions, trials_file: Path | None, terminal: Terminal
    ) -> dict[str, Any]:
        """Generate with Spark and study a sample of users; return the manifest with the study."""
        from scalr.engines import own_session, spark_settings
        from scalr.runs import run_on_spark

        with own_session(self.master, spark_settings(list(self.conf))) as session:
            return run_on_spark(session, settings, output.out, execution=output.execution(terminal, trials_file))


SPARK_BY_DAY = OptionGroup(SparkOptions, OUTPUT_PANEL)
SPARK = replace(SPARK_BY_DAY, only=("engine", "master", "conf"))


def _show_plan(request: LogRequest, steps: Steps, terminal: Terminal, session: Any) -> None:
    """Print the resources that a run would take."""
    from scalr.engines import dry_run
    from scalr.foundation import format_bytes
    from scalr.runs import read_on_spark

    terminal.stage("counting")
    planned = dry_run(read_on_spark(session, request, steps), steps)
    for warning in planned.warnings:
        terminal.note(f"! {warning}")
    table = new_table("Estimated resources (nothing was written)", "", "")
    values = planned.to_json()
    for name, label in PLAN_LABELS.items():
        table.add_row(label, format_bytes(values[name]) if name in _SIZES else format_number(values[name]))
    terminal.result(values)
    terminal.show(table)
