"""Metadata that every run records: request, inputs, settings, environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scalr.engines import SparkLogs, is_uri, read_spark_logs, source_frame
from scalr.foundation import (
    Board,
    Receipt,
    Room,
    RunSettings,
    Steps,
    Stopwatch,
    describe_environment,
)
from scalr.logs import LogRequest, Pair, StoredPair, read_logs, summarise
from scalr.synthesis import LeakCheck

PATHS = ("source", "target", "items")
"""Settings that are paths."""


def read_settings(settings: RunSettings, room: Room | None = None, board: Board | None = None) -> StoredPair:
    """Read the logs that a configuration names."""
    return read_logs(log_request(settings), room=room, board=board)


def log_request(settings: RunSettings) -> LogRequest:
    """Return the logs that a configuration names, and how to read them."""
    item_columns = settings.negatives.kind != "none" or settings.judged_by == "impressions"
    return LogRequest.from_settings(settings, item_columns=item_columns)


def read_timed(settings: RunSettings, room: Room, board: Board) -> tuple[StoredPair, Receipt]:
    """Read the logs of a configuration; return them with the receipt of reading."""
    with Stopwatch() as watch:
        stored = read_settings(settings, room, board)
    rows = len(stored.source) + len(stored.target)
    return stored, watch.receipt("read", rows, rows)


def judges_impressions(settings: RunSettings) -> bool:
    """Return whether a run is evaluated on real impressions with labels 0 and 1, rather than on events."""
    judged_by = settings.judged_by
    return judged_by == "impressions" or (judged_by == "auto" and settings.negatives.kind != "none")


def page_facts(pair: Pair | StoredPair, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts on every page: title, logs, settings, environment."""
    return {
        "title": f"{' and '.join(pair.source.items.domains)} → {pair.target.name}",
        "pair": summarise(pair).to_json(),
        "warnings": pair.warnings,
        "settings": settings,
        "environment": describe_environment(),
    }


def generation_request(steps: Steps, inputs: Mapping[str, Any], layout: str, leaks: LeakCheck) -> dict[str, Any]:
    """Return all settings of a generation in the form of a run, enough to repeat it."""
    return absolute_paths({**steps.model_dump(mode="json"), **inputs, "layout": layout, "leaks": leaks})


def absolute_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with absolute paths."""

    def absolute(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: absolute(one) for name, one in value.items()}
        return os.path.abspath(value) if isinstance(value, str) else value

    return {name: absolute(value) if name in PATHS else value for name, value in settings.items()}


def job_facts(
    command: str,
    steps: Steps,
    pair: Pair | StoredPair,
    inputs: Mapping[str, Any],
    asked: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the facts at the top level of every manifest.

    Args:
        command: The job.
        steps: Settings, including those that a study chose.
        pair: The logs.
        inputs: Settings of reading.
        asked: All settings as they were asked for, to do the job again; None where it cannot be done from them.
    """
    settings = {**steps.model_dump(mode="json"), **inputs}
    return {
        "command": command,
        "seed": steps.seed,
        "settings": settings,
        "settings_hash": steps.digest(),
        "inputs": [dict(one) for one in pair.inputs],
        "warnings": list(pair.warnings),
    } | ({"request": dict(asked)} if asked else {})


def read_on_spark(session: Any, request: LogRequest, steps: Steps) -> SparkLogs:
    """Open the files of a request as frames of Spark and check them; see `look`.

    The source is Parquet: files, a glob or a folder, also below a URI that Spark reads. The target log and the item
    table are read like those of the local engine, or are Parquet below a URI.
    """
    sources = {name: source_frame(session, files) for name, files in request.sources().items()}
    target, items = (
        session.read.parquet(files) if isinstance(files, str) and is_uri(files) else files
        for files in (request.target, request.items)
    )
    return read_spark_logs(replace(request, source=sources, target=target, items=items), steps)
