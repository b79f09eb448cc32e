"""`run`: generate synthetic events and study them, in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scalr.engines import ON_SPARK, STUDY_EVENTS, check_translator, study_pair
from scalr.foundation import Board, ConfigError, RunSettings, SilentBoard
from scalr.logs import refuse_changed_inputs
from scalr.report import contents_of, write_conversions_page, write_report
from scalr.runs.folders import finished_folder
from scalr.runs.generating import _made, event_facts, write_events_within
from scalr.runs.manifest import write_json, write_manifest
from scalr.runs.requests import (
    begun_run,
    job_facts,
    judges_impressions,
    log_request,
    page_facts,
    read_on_spark,
)
from scalr.runs.studying import _studied, timed_study, with_choice
from scalr.studies import AUTO, check_names
from scalr.synthesis import check_written

EVENTS_PAGE = "events.html"


def run(
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
    """Generate synthetic events from whole logs, study what they are worth, write both.

    A log of impressions (`judged_by`) is studied as `scalr study --conversions` does; then `report.html` is about that
    study and `events.html` about the synthetic events. All other logs are `scalr.run`'s.

    Args:
        settings: The logs and every step.
        out: New or empty folder.
        threads: Parts and fits at a time; all cores if None.
        memory_limit: Bytes to stay within while events are made; most of what is free if None.
        trials_file: Outcomes of a study of events, kept beyond the run.
        notes: Sentences to read before any number, on the page of synthetic events or of a study of events.
        board: Where progress is shown.
        title: What the run is about.
        resume: Go on from what a run that was cut off has finished; None keeps nothing of one. See `resuming`.

    Returns:
        The manifest, with the study under "evaluation".

    Raises:
        InputError: If a log, a setting or the folder cannot be used.
    """
    if not judges_impressions(settings):
        return run_events(
            settings, out, threads=threads, memory_limit=memory_limit, trials_file=trials_file, notes=notes,
            board=board, title=title, resume=resume,
        )  # fmt: skip
    board = board or SilentBoard()
    with begun_run(settings, out, threads, memory_limit, resume, board) as begun:
        made, room, stored, reading = begun.made, begun.room, begun.stored, begun.reading
        folder, pair = made.folder, stored.load()
        content, translator, receipt = _studied(pair, settings, threads, board, made.pieces)
        settings = settings.changed({"translate.translator": translator})
        written = write_events_within(stored, settings, made, settings.layout, room, board)
        write_json(folder / "evaluation.json", content)
        facts = job_facts("run", settings, stored, {}, begun.asked) | event_facts(written, stored)
        room.clear()
        found, digests = check_written(settings.leaks, settings.target, stored.target.columns, written.digests, board)
        facts |= {"leaks": found} if found else {}
        board.stage("writing the report")
        receipts = (reading, *written.receipts)
        page = page_facts(pair, facts["settings"])
        page["title"] = title or page["title"]
        shown = contents_of(
            written.facts, pair=stored, receipts=receipts, settings=facts["settings"], title=page["title"], notes=notes,
            leaks=found,
        )  # fmt: skip
        write_report(folder / EVENTS_PAGE, shown)
        write_conversions_page(folder / "report.html", content, **page)
        refuse_changed_inputs(stored)
        manifest = write_manifest(folder, (*receipts, receipt), facts, digests)
    return {**manifest, "evaluation": content}


def run_events(
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
    """Generate synthetic events from whole logs, study what they are worth, write both.

    Writes `synthetic/`, `evaluation.json` (the study), `report.html` and `manifest.json` into a new folder.

    Args:
        settings: The logs, and the settings of every step.
        out: The folder.
        threads: Threads at a time; all cores if None. The results do not depend on it.
        memory_limit: Bytes to stay within; most of what is free if None. The results do not depend on it.
        trials_file: Where trials of settings are remembered beyond the run; they are found there again.
        notes: Sentences for the report.
        board: Where progress is shown.
        title: What the run is about.
        resume: Go on from the trials, seeds and parts that a run which was cut off has finished. None keeps nothing of
            a run that is cut off.

    Returns:
        The manifest, with the study under "evaluation".

    Raises:
        InputError: If a log, a setting or the folder cannot be used.
        OutputError: If a half-finished run is in the way, or one to go on from had other settings, logs or version.
    """
    board = board or SilentBoard()
    check_names(settings)
    with begun_run(settings, out, threads, memory_limit, resume, board) as begun:
        made, room, stored, reading = begun.made, begun.room, begun.stored, begun.reading
        folder = made.folder
        trials_file = trials_file or (None if resume is None else made.trials_file)
        done, receipts = timed_study(stored.load(), settings, threads, board, trials_file, made.pieces)
        settings = with_choice(settings, done)
        written = write_events_within(stored, settings, made, settings.layout, room, board)
        content = done.to_json()
        write_json(folder / "evaluation.json", content)
        facts = job_facts("run", settings, stored, {}, begun.asked) | event_facts(written, stored)
        room.clear()
        found, digests = check_written(settings.leaks, settings.target, stored.target.columns, written.digests, board)
        facts |= {"leaks": found} if found else {}
        board.stage("writing the report")
        shown = contents_of(
            done,
            whole=written.facts,
            receipts=(reading, *written.receipts),
            settings=facts["settings"],
            title=title,
            notes=notes,
            leaks=found,
        )
        write_report(folder / "report.html", shown)
        refuse_changed_inputs(stored)
        manifest = write_manifest(folder, (reading, *written.receipts, *receipts[-1:]), facts, digests)
    return {**manifest, "evaluation": content}


def check_layout(layout: str) -> None:
    """Refuse integer codes: they would need the ids of all source users on one machine.

    Raises:
        ConfigError: If the layout is "compact".
    """
    if layout == "compact":
        raise ConfigError(
            "layout is 'compact', whose codes number the ids of all users on one machine",
            expected="layout 'target' for --engine spark",
            fix="leave --layout out, or leave --engine spark out",
        )


def run_on_spark(
    session: Any, settings: RunSettings, out: Path, *, threads: int | None = None, trials_file: Path | None = None,
    study_events: int = STUDY_EVENTS, notes: tuple[str, ...] = (), board: Board | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Generate synthetic events in Spark, and study on this machine what they are worth, on a sample of users.

    Writes `synthetic/`, `evaluation.json` (the study), `report.html` and `manifest.json` into a new folder. With the
    translator `auto` the study chooses the settings by which the whole source is then translated.

    Args:
        session: The session.
        settings: What to read and to do.
        out: The folder, which the driver and all workers must share.
        threads: Threads of the study; all cores if None.
        trials_file: Where the study keeps its trials.
        study_events: Source events that the study gets, at most about: all events of a share of the target users.
        notes: Sentences for the report.
        board: Where stages are shown.

    Returns:
        The manifest, with the study under "evaluation".

    Raises:
        InputError: If a log, a setting or the folder cannot be used.
    """
    board = board or SilentBoard()
    is_free = settings.translate.translator == AUTO
    check_translator(settings.translate.model_copy(update={"translator": ON_SPARK[0]} if is_free else {}))
    check_layout(settings.layout)
    if judges_impressions(settings):
        raise ConfigError(
            f"judged_by is '{settings.judged_by}' and negatives '{settings.negatives.kind}': judged on impressions",
            expected="judged_by: events with --engine spark",
            fix="set it (--set judged_by=events), or leave --engine spark out",
        )
    request = log_request(settings)
    with finished_folder(out) as folder:
        board.stage("collecting users for the study")
        logs = read_on_spark(session, request, settings)
        pair, share = study_pair(logs, request, most=study_events)
        done, receipts = timed_study(pair.load(), settings, threads, board, trials_file)
        settings = with_choice(settings, done)
        facts, written = _made(session, request, settings, folder, {}, None, None, board)
        content = done.to_json()
        write_json(folder / "evaluation.json", content)
        said = f"The study saw {100 * share:.0f} % of the target users, and no users without target events."
        board.stage("writing the report")
        shown = contents_of(done, receipts=written, settings=facts["settings"], notes=(*notes, said))
        write_report(folder / "report.html", shown)
        facts |= {"command": "run", "study_share": share}
        manifest = write_manifest(folder, (*written, *receipts[-1:]), facts)
    return {**manifest, "evaluation": content}
