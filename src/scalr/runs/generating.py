"""The job of `scalr generate`: synthetic events, a report and a manifest in a new folder."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scalr.engines import (
    DAY_COLUMN,
    HELD_ROWS,
    Written,
    check_translator,
    generate_from_logs,
    write_events,
    write_parts,
)
from scalr.foundation import Board, OutputError, Receipt, Room, SilentBoard, Steps, Stopwatch, memory
from scalr.logs import LogRequest, StoredPair, refuse_changed_inputs
from scalr.report import contents_of, write_report
from scalr.runs.folders import check_free, finished_folder, resumable_folder
from scalr.runs.manifest import write_manifest
from scalr.runs.requests import (
    generation_request,
    job_facts,
    read_on_spark,
)
from scalr.runs.resuming import Plan, Unfinished
from scalr.synthesis import LeakCheck, check_columns, check_written, people_behind, refuse_unfit

Read = Callable[[Room, Board], tuple[StoredPair, Receipt]]
"""Reads logs into the room it is given."""


def write_generation(
    read: Read,
    steps: Steps,
    out: Path,
    *,
    layout: str = "target",
    inputs: Mapping[str, Any],
    threads: int | None = None,
    memory_limit: int | None = None,
    leaks: LeakCheck = "off",
    resume: bool = False,
    board: Board | None = None,
) -> tuple[dict[str, Any], StoredPair]:
    """Write `synthetic/`, `report.html` and `manifest.json` into a new folder, in bounded memory.

    Args:
        read: Reads the logs.
        steps: Settings; of these `seed`, `translate`, `sample` and `refine` are used.
        out: The folder.
        layout: "target" or "compact"; see `scalr.synthesis.tables.TableBuilder`.
        inputs: Settings of reading, for the manifest.
        threads: Parts to work on at a time; all cores if None. The files do not depend on it.
        memory_limit: Bytes to stay within; most of what is free if None. The files do not depend on it.
        leaks: "report" columns that give synthetic rows away, or "drop" them from the files as well.
        resume: Go on from the parts that a run which was cut off has finished.
        board: Where progress is shown.

    Returns:
        The manifest, and the logs.

    Raises:
        InputError: If a log cannot be used, or does not leave enough of the memory limit.
        OutputError: If `out` cannot become the output, or a half-finished one is in the way.
    """
    board = board or SilentBoard()
    refuse_unfit(leaks, layout)
    asked = generation_request(steps, inputs, layout, leaks)
    with (
        resumable_folder(out, Plan("generate", asked), resume=resume) as made,
        memory.room(made.room, memory_limit, threads) as room,
    ):
        folder = made.folder
        stored, reading = read(room, board)
        made.check_inputs(stored.inputs)
        if layout == "target":
            check_columns(stored)
        written = write_events_within(stored, steps, made, layout, room, board)
        facts = job_facts("generate", steps, stored, inputs, asked) | event_facts(written, stored)
        room.clear()
        found, digests = check_written(leaks, inputs.get("target"), stored.target.columns, written.digests, board)
        board.stage("writing the report")
        receipts = (reading, *written.receipts)
        shown = contents_of(written.facts, pair=stored, receipts=receipts, settings=facts["settings"], leaks=found)
        write_report(folder / "report.html", shown)
        facts |= {"leaks": found} if found else {}
        refuse_changed_inputs(stored)
        return write_manifest(folder, receipts, facts, digests), stored


def write_events_within(
    stored: StoredPair, steps: Steps, made: Unfinished, layout: str, room: Room, board: Board
) -> Written:
    """Write the synthetic events of stored logs, within the memory of a room."""
    threads = memory.threads_within(room, len(stored.target.users))
    held = memory.rows_within(room, HELD_ROWS)
    return write_events(
        stored, steps, made.folder, layout=layout, threads=threads, held_rows=held, board=board, pieces=made.pieces
    )


def event_facts(written: Written, stored: StoredPair) -> dict[str, Any]:
    """Return what a manifest says of written events."""
    return {
        "synthetic_events": len(written.facts),
        "item_coverage": round(written.facts.item_coverage(stored.target), 6),
        "generation_id": written.generation_id,
        "privacy": written.privacy,
    } | ({"synthetic_negatives": written.negatives} if written.negatives else {})


def write_generation_on_spark(
    session: Any, request: LogRequest, steps: Steps, out: Path, *, settings: Mapping[str, Any],
    partitions: int | None = None, day: dt.date | None = None, board: Board | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write `synthetic/` and `manifest.json` into a new folder, which the driver and all workers must share.

    With `day` only events of that day are written, into `synthetic/day=...`, and `manifest-....json` beside: other days
    that the folder holds stay, and a day that is made twice is there once.

    Args:
        session: The session.
        request: The logs to read.
        steps: Settings; of these `seed`, `translate`, `sample`, `refine` and `negatives` are used.
        out: The folder.
        settings: Settings of reading, for the manifest.
        partitions: Parts to cut the source into; None to choose.
        day: Only source events of this day (UTC) get synthetic events; all of them testify.
        board: Where stages are shown.

    Raises:
        InputError: If a log or a setting cannot be used.
        OutputError: If `out` cannot become the output, or is no folder that all machines share.
    """
    board = board or SilentBoard()
    check_translator(steps.translate)
    if day is None:
        with finished_folder(out) as folder:
            facts, receipts = _made(session, request, steps, folder, settings, partitions, None, board)
            return write_manifest(folder, receipts, facts)
    check_day(out)
    out.mkdir(parents=True, exist_ok=True)
    facts, receipts = _made(session, request, steps, out, settings, partitions, day, board)
    written = out / "synthetic" / f"{DAY_COLUMN}={day}"
    return write_manifest(written, receipts, facts, file=out / f"manifest-{day}.json")


def check_day(out: Path) -> None:
    """Refuse a folder that holds something else than days.

    Raises:
        OutputError: If it does.
    """
    if not out.exists():
        check_free(out)
    elif odd := [one.name for one in out.iterdir() if one.name != "synthetic" and not one.name.startswith("manifest-")]:
        raise OutputError(
            f"output folder '{out}' holds '{odd[0]}', so it is no folder of days",
            expected="a new folder, or one that --day has made",
            fix="choose another --out",
        )


def _made(
    session: Any, request: LogRequest, steps: Steps, folder: Path, settings: Mapping[str, Any], partitions: int | None,
    day: dt.date | None, board: Board,
) -> tuple[dict[str, Any], tuple[Receipt, ...]]:  # fmt: skip
    board.stage("reading logs")
    with Stopwatch() as watch:
        logs = read_on_spark(session, request, steps)
    rows = logs.rows + len(logs.pair.target)
    made = generate_from_logs(
        logs, steps, session, watch.receipt("read", rows, rows), partitions=partitions, day=day, board=board
    )
    try:
        board.stage("drawing and writing synthetic events")
        written = write_parts(made, folder, day)
    finally:
        made.release()
    pair = replace(made.pair, inputs=logs.inputs)
    named = {
        **settings,
        "engine": "spark",
        "spark": session_facts(session),
        **({} if day is None else {"day": str(day)}),
    }
    n_events = written.rows - made.negatives_of(written.rows)
    facts = job_facts("generate", steps, pair, named) | {
        "synthetic_events": n_events,
        "item_coverage": round(written.item_coverage, 6),
        "generation_id": made.generation_id,
        "privacy": people_behind(n_events, written.few, steps.translate.privacy),
    }
    if negatives := made.negatives_of(written.rows):
        facts["synthetic_negatives"] = negatives
    return facts, written.receipts


def session_facts(session: Any) -> dict[str, Any]:
    """Return what the manifest says of a session."""
    context = session.sparkContext
    return {"version": context.version, "master": context.master, "parallelism": context.defaultParallelism}
