"""The job of `scalr generate`: synthetic events, a report and a manifest in a new folder."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scalr.foundation import Board, SilentBoard, Steps
from scalr.logs import LogRequest, Pair, StoredPair
from scalr.runs.execution import Execution
from scalr.runs.job import Job, carry_out
from scalr.runs.local import LocalEngine, ReadLogs
from scalr.runs.requests import generation_request
from scalr.runs.spark import SparkEngine
from scalr.synthesis import LeakCheck


def write_generation(
    read: ReadLogs,
    steps: Steps,
    out: Path,
    *,
    inputs: Mapping[str, Any],
    layout: str = "target",
    leaks: LeakCheck = "off",
    execution: Execution | None = None,
) -> tuple[dict[str, Any], Pair | StoredPair]:
    """Write `synthetic/`, `report.html` and `manifest.json` into a new folder, in bounded memory.

    Args:
        read: Reads the logs.
        steps: Settings; of these `seed`, `translate`, `sample`, `refine` and `negatives` are used.
        out: The folder.
        inputs: Settings of reading, for the manifest.
        layout: "target" or "compact"; see `scalr.synthesis.tables.TableBuilder`.
        leaks: "report" columns that identify synthetic rows, or "drop" them from the files as well.
        execution: Threads, memory and progress.

    Returns:
        The manifest, and the logs.

    Raises:
        InputError: If a log cannot be used, or does not leave enough of the memory limit.
        OutputError: If `out` cannot become the output, or a half-finished output is in the way.
    """
    engine = LocalEngine(read, inputs.get("target"), layout, leaks)
    request = generation_request(steps, inputs, layout, leaks)
    done = carry_out(Job("generate", steps, engine, reading=inputs, request=request), out, execution or Execution())
    return done.manifest, done.pair


def write_generation_on_spark(
    session: Any, request: LogRequest, steps: Steps, out: Path, *, settings: Mapping[str, Any],
    partitions: int | None = None, day: dt.date | None = None, board: Board | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write `synthetic/` and `manifest.json` into a new folder, which the driver and all workers must share.

    With `day` only events of that day are written, into `synthetic/day=...`, and `manifest-....json` beside it. Other
    days in the folder stay, and a day that is generated again replaces its earlier events.

    Args:
        session: The session.
        request: The logs to read.
        steps: Settings; of these `seed`, `translate`, `sample`, `refine` and `negatives` are used.
        out: The folder.
        settings: Settings of reading, for the manifest.
        partitions: Parts that the source is cut into; None to choose.
        day: Only source events of this day (UTC) get synthetic events, though all are evidence for the translation.
        board: Shows stages.

    Raises:
        InputError: If a log or a setting cannot be used.
        OutputError: If `out` cannot become the output, or not all machines share it.
    """
    job = Job("generate", steps, SparkEngine(session, request, partitions, day), reading=settings)
    return carry_out(job, out, Execution(board=board or SilentBoard())).manifest
