"""What commands do with `--engine spark`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalr.cli.console import Terminal, number, table
from scalr.cli.inputs import LogOptions
from scalr.foundation import ConfigError

if TYPE_CHECKING:
    from scalr.foundation import RunSettings, Steps
    from scalr.logs import LogRequest

PLAN_WORDS = {
    "source_events": "source events",
    "target_events": "target events",
    "known_share": "share of source events by users with target items",
    "paths": "paths, at most",
    "parts": "parts: tasks of each pass",
    "split_items": "items split over several parts",
    "passes": "passes over the parts",
    "shuffle_bytes": "shuffled once, at most, before compression",
    "rows": "synthetic rows, at most",
    "machine_bytes": "held once per machine",
    "task_bytes": "held per task, about",
}


@dataclass(frozen=True, slots=True)
class SparkOptions:
    """Options of the engine, as the command line gives them."""

    engine: str
    master: str | None
    conf: list[str]
    day: str | None
    dry_run: bool

    def check(self, layout: str, *, leaks: bool, resume: bool = False) -> None:
        """Refuse options that do not go together, before any work is done.

        Raises:
            ConfigError: If an option belongs to another engine, or Spark cannot do it.
        """
        from scalr.engines import parse_day, require_spark, spark_settings
        from scalr.runs import check_layout

        if self.engine == "local":
            given: dict[str, Any] = {"--spark-master": self.master, "--spark-conf": self.conf, "--day": self.day}
            given["--dry-run"] = self.dry_run
            if named := next((name for name, value in given.items() if value), None):
                raise ConfigError(
                    f"{named} is given, but the engine is 'local'", expected="--engine spark beside it", fix="add it"
                )
            return
        if resume:
            self.check_local("--resume")
        spark_settings(self.conf)
        if self.master is not None and (not self.master or any(letter.isspace() for letter in self.master)):
            raise ConfigError(
                f"--spark-master is '{self.master}'",
                expected="a master without blanks, such as local[4], yarn or spark://host:7077",
                fix="correct it, or leave --spark-master out",
            )
        check_layout(layout)
        if leaks:
            raise ConfigError(
                "columns are to be checked for leaks, which needs the rows in memory",
                expected="--check-leaks and --drop-leaky with --engine local",
                fix="check a sample of the events with scalr.find_leaks",
            )
        if self.day is not None:
            parse_day(self.day)
        require_spark()

    def check_local(self, option: str) -> None:
        """Refuse an option that only the local engine has.

        Raises:
            ConfigError: If the engine is another one.
        """
        if self.engine != "local":
            raise ConfigError(
                f"{option} is given, but the engine is '{self.engine}'",
                expected=f"{option} with --engine local; Spark repeats lost tasks by itself",
                fix=f"leave {option} out, or leave --engine out",
            )

    def generate(self, logs: LogOptions, steps: Steps, out: Path, terminal: Terminal) -> None:
        """Generate synthetic events with Spark, and say what was made."""
        from scalr.cli.summaries import reach, stages_table
        from scalr.engines import own_session, parse_day, spark_settings
        from scalr.runs import write_generation_on_spark
        from scalr.studies import privacy_sentence

        with terminal, own_session(self.master, spark_settings(self.conf)) as session:
            if self.dry_run:
                self._plan(logs.request(), steps, terminal, session)
                return
            manifest = write_generation_on_spark(
                session, logs.request(), steps, out, settings=logs.settings(),
                day=None if self.day is None else parse_day(self.day), board=terminal,
            )  # fmt: skip
        for warning in manifest["warnings"]:
            terminal.note(f"! {warning}")
        terminal.result(manifest)
        terminal.show(
            stages_table(manifest["stages"]),
            f"\n{reach(manifest)}. Written to {out}",
            *filter(None, [privacy_sentence(manifest["privacy"])]),
            "Whether they help a model is another question: [bold]scalr study[/bold] answers it, on a sample.",
        )

    def run(
        self, settings: RunSettings, out: Path, threads: int | None, trials_file: Path | None, terminal: Terminal
    ) -> dict[str, Any]:
        """Generate with Spark and study on a sample of users; return the manifest with the study."""
        from scalr.engines import own_session, spark_settings
        from scalr.runs import Execution, run_on_spark

        with own_session(self.master, spark_settings(self.conf)) as session:
            execution = Execution(threads, trials_file=trials_file, board=terminal)
            return run_on_spark(session, settings, out, execution=execution)

    @staticmethod
    def _plan(request: LogRequest, steps: Steps, terminal: Terminal, session: Any) -> None:
        """Show what a run would take."""
        from scalr.engines import dry_run
        from scalr.foundation import format_bytes
        from scalr.runs import read_on_spark

        terminal.stage("counting")
        found = dry_run(read_on_spark(session, request, steps), steps)
        for warning in found.warnings:
            terminal.note(f"! {warning}")
        made = table("What it would take (nothing was written)", "", "")
        sizes = {"shuffle_bytes", "machine_bytes", "task_bytes"}
        for name, value in found.to_json().items():
            if name != "warnings":
                shown = format_bytes(value) if name in sizes else number(value)
                made.add_row(PLAN_WORDS[name], shown)
        terminal.result(found.to_json())
        terminal.show(made)
