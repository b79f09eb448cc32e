"""Metadata that every run records: request, inputs, settings, environment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalr.engines import SparkLogs, is_uri, look, source_frame
from scalr.foundation import (
    Board,
    ColumnSettings,
    Receipt,
    Room,
    RunSettings,
    Steps,
    Stopwatch,
    describe_environment,
    memory,
)
from scalr.logs import Columns, Pair, StoredPair, read_logs, summarise
from scalr.runs.folders import resumable_folder
from scalr.runs.resuming import Plan, Unfinished
from scalr.synthesis import LeakCheck, check_columns, refuse_unfit

PATHS = ("source", "target", "items")
"""Settings that are paths."""


def read_settings(settings: RunSettings, room: Room | None = None, board: Board | None = None) -> StoredPair:
    """Read the logs that a configuration names."""
    return read_logs(
        settings.source,
        settings.target,
        items=settings.items,
        columns=columns_of(settings.columns),
        source_columns=columns_of(settings.source_columns),
        target_columns=columns_of(settings.target_columns),
        time_unit=settings.time_unit,
        ids=settings.ids,
        drop_nulls=settings.drop_nulls,
        item_columns=settings.negatives.kind != "none" or settings.judged_by == "impressions",
        room=room,
        board=board,
    )


def read_timed(settings: RunSettings, room: Room, board: Board) -> tuple[StoredPair, Receipt]:
    """Return these logs, and what reading them took."""
    with Stopwatch() as watch:
        stored = read_settings(settings, room, board)
    rows = len(stored.source) + len(stored.target)
    return stored, watch.receipt("read", rows, rows)


@dataclass(frozen=True, slots=True, eq=False)
class Begun:
    """A run that has read its logs.

    Attributes:
        made: The folder that it fills.
        room: Memory, threads, and a place for what does not fit.
        stored: The logs.
        reading: What reading took.
        asked: All settings as they were asked for.
    """

    made: Unfinished
    room: Room
    stored: StoredPair
    reading: Receipt
    asked: dict[str, Any]


@contextmanager
def begun_run(
    settings: RunSettings, out: Path, threads: int | None, memory_limit: int | None, resume: bool | None, board: Board
) -> Iterator[Begun]:
    """Begin a run, or go on with one: give its hidden folder and its logs; see `scalr.run`."""
    refuse_unfit(settings.leaks, settings.layout)
    asked = absolute_paths(settings.model_dump(mode="json"))
    plan = None if resume is None else Plan("run", asked)
    with (
        resumable_folder(out, plan, resume=bool(resume)) as made,
        memory.room(made.room, memory_limit, threads) as room,
    ):
        stored, reading = read_timed(settings, room, board)
        made.check_inputs(stored.inputs)
        if settings.layout == "target":
            check_columns(stored)
        yield Begun(made, room, stored, reading, asked)


def columns_of(chosen: ColumnSettings | None) -> Columns | None:
    """Return the columns that a configuration names; None where it names none."""
    return None if chosen is None else Columns(**chosen.model_dump())


def judges_impressions(settings: RunSettings) -> bool:
    """Say whether a run is judged on real impressions with labels 0 and 1, rather than on events."""
    judged_by = settings.judged_by
    return judged_by == "impressions" or (judged_by == "auto" and settings.negatives.kind != "none")


def page_facts(pair: Pair, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every page says about its run: title, logs, settings, environment."""
    return {
        "title": f"{' and '.join(pair.source.items.domains)} → {pair.target.name}",
        "pair": summarise(pair).to_json(),
        "warnings": pair.warnings,
        "settings": settings,
        "environment": describe_environment(),
    }


def generation_request(steps: Steps, inputs: Mapping[str, Any], layout: str, leaks: LeakCheck) -> dict[str, Any]:
    """Return what was asked of a generation, as the settings of a run have it: enough to do it again."""
    return absolute_paths({**steps.model_dump(mode="json"), **inputs, "layout": layout, "leaks": leaks})


def absolute_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with paths that mean the same in any working directory."""

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
    """Return what the manifest of any job says at its top level.

    Args:
        command: The job.
        steps: Settings, those that a study chose among them.
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


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a job reads, as the command line or a configuration names it.

    Attributes:
        source: Parquet files, glob or folder (also below a URI that Spark reads); or several, by domain name.
        target: Files as the local engine reads them, or Parquet below a URI.
        items: Likewise, the item table; None for none.
        columns: Names of columns in all logs.
        source_columns: Names that differ in the sources.
        target_columns: Names that differ in the target.
        time_unit: Unit of integer times; None guesses it.
        ids: "string" reads all ids as text.
        drop_nulls: Drop rows with nulls.
    """

    source: str | Mapping[str, str]
    target: str
    items: str | None = None
    columns: Columns | None = None
    source_columns: Columns | None = None
    target_columns: Columns | None = None
    time_unit: str | None = None
    ids: str = "auto"
    drop_nulls: bool = False

    @classmethod
    def of(cls, settings: RunSettings) -> Inputs:
        """Return what a configuration names."""
        return cls(
            settings.source, settings.target, settings.items, columns_of(settings.columns),
            columns_of(settings.source_columns), columns_of(settings.target_columns), settings.time_unit, settings.ids,
            settings.drop_nulls,
        )  # fmt: skip

    def read(self, session: Any, steps: Steps) -> SparkLogs:
        """Look at the logs; see `look`."""
        given = self.source if isinstance(self.source, Mapping) else {"source": self.source}
        sources = {name: source_frame(session, files) for name, files in given.items()}
        target, items = (
            files if files is None or not is_uri(files) else session.read.parquet(files)
            for files in (self.target, self.items)
        )
        return look(
            sources, target, steps, items=items, columns=self.columns, source_columns=self.source_columns,
            target_columns=self.target_columns, time_unit=self.time_unit, ids=self.ids, drop_nulls=self.drop_nulls,
        )  # fmt: skip
