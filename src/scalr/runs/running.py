"""`run`: generate synthetic events and study them, in one folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from scalr.engines import STUDY_EVENTS
from scalr.foundation import Board, ConfigError, RunSettings, SilentBoard
from scalr.runs.evidence import EVENT_STUDY, IMPRESSION_STUDY
from scalr.runs.execution import Execution
from scalr.runs.job import Job, carry_out
from scalr.runs.local import LocalEngine
from scalr.runs.requests import absolute_paths, judges_impressions, log_request, read_timed
from scalr.runs.spark import SparkEngine
from scalr.studies import check_model_and_translator

EVALUATION = "evaluation.json"


def run(  # noqa: PLR0913 - public
    settings: RunSettings,
    out: Path,
    *,
    threads: int | None = None,
    memory_limit: int | None = None,
    trials_file: Path | None = None,
    notes: tuple[str, ...] = (),
    board: Board | None = None,
    title: str | None = None,
    resume: bool | None = False,
) -> dict[str, Any]:
    """Generate synthetic events from whole logs, and study their value, in one new folder.

    The folder holds `synthetic/`, `evaluation.json` (the study), `report.html` and `manifest.json`. A log of
    impressions (`judged_by`) is studied as by `scalr study --conversions`; `report.html` is then about the study, and
    `events.html` about the synthetic events. The results depend neither on `threads` nor on `memory_limit`.

    Args:
        settings: The logs, and the settings of every step.
        out: New or empty folder.
        threads: Threads at a time; all cores if None.
        memory_limit: Upper bound on memory in bytes; most of the free memory if None.
        trials_file: File that keeps the outcomes of trials beyond the run, in a study of events; they are reused from
            there.
        notes: Sentences to read before any number in the report.
        board: Shows the progress.
        title: Title of the report.
        resume: Continue an interrupted run from its finished trials, seeds and parts. None keeps no checkpoints.

    Returns:
        The manifest, with the study under "evaluation".

    Raises:
        InputError: If a log, a setting or the folder cannot be used.
        OutputError: If a half-finished run is in the way, or the run to resume had other settings, logs or version.
    """
    execution = Execution(threads, memory_limit, resume, trials_file, board or SilentBoard())
    return run_in_folder(settings, out, execution, notes=notes, title=title)


def run_in_folder(
    settings: RunSettings, out: Path, execution: Execution, *, notes: tuple[str, ...] = (), title: str | None = None
) -> dict[str, Any]:
    """Do what `run` does; `execution` bundles its resources."""
    on_impressions = judges_impressions(settings)
    if not on_impressions:
        check_model_and_translator(settings)
    engine = LocalEngine(partial(read_timed, settings), settings.target, settings.layout, settings.leaks)
    job = Job(
        "run", settings, engine, IMPRESSION_STUDY if on_impressions else EVENT_STUDY, EVALUATION,
        request=absolute_paths(settings.model_dump(mode="json")), title=title, notes=notes,
    )  # fmt: skip
    done = carry_out(job, out, execution)
    return {**done.manifest, "evaluation": done.content}


def check_layout(layout: str) -> None:
    """Refuse integer codes: they would need the ids of all source users on one machine.

    Raises:
        ConfigError: If the layout is "compact".
    """
    if layout == "compact":
        raise ConfigError(
            "layout is 'compact', whose codes number the ids of all users on one machine",
            expected="layout 'target' for --engine spark",
            fix="omit --layout, or omit --engine spark",
        )


def run_on_spark(
    session: Any,
    settings: RunSettings,
    out: Path,
    *,
    sample_events: int = STUDY_EVENTS,
    notes: tuple[str, ...] = (),
    execution: Execution | None = None,
) -> dict[str, Any]:
    """Generate synthetic events on Spark, and study their value on this machine, on a sample of users.

    The files are those of `run`. With the translator `auto` the study chooses the settings for the whole source.

    Args:
        session: The session.
        settings: The logs, and the settings of every step.
        out: The folder, which the driver and all workers must share.
        sample_events: Source events that the study gets, at most about: all events of a share of the target users.
        notes: Sentences for the report.
        execution: Threads and trials of the study, and progress.

    Returns:
        The manifest, with the study under "evaluation".

    Raises:
        InputError: If a log, a setting or the folder cannot be used.
    """
    check_layout(settings.layout)
    if judges_impressions(settings):
        raise ConfigError(
            f"judged_by is '{settings.judged_by}' and negatives '{settings.negatives.kind}': judged on impressions",
            expected="judged_by: events with --engine spark",
            fix="set it (--set judged_by=events), or omit --engine spark",
        )
    engine = SparkEngine(session, log_request(settings), study_events=sample_events)
    done = carry_out(Job("run", settings, engine, EVENT_STUDY, EVALUATION, notes=notes), out, execution or Execution())
    return {**done.manifest, "evaluation": done.content}
