"""Jobs on this machine: parts that can be resumed, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalr.engines import COMPARED_ROWS, LocalOutput, write_events
from scalr.foundation import Board, Receipt, Room, Steps, memory
from scalr.logs import Pair, StoredPair
from scalr.runs.execution import Execution, StudyResources
from scalr.runs.folders import resumable_folder
from scalr.runs.job import Job
from scalr.runs.records import Generated, Record, StudySample
from scalr.runs.resuming import RunPlan, UnfinishedRun
from scalr.synthesis import LeakCheck, check_columns, check_written, refuse_unfit

ReadLogs = Callable[[Room, Board], tuple[StoredPair, Receipt]]
"""Reads logs within some memory, and returns them with the receipt of reading."""


@dataclass(frozen=True, slots=True, eq=False)
class LocalEngine:
    """The engine of this machine.

    Attributes:
        read: Reads the logs.
        target: The target log as it was named; a check for leaks reads it again.
        layout: "target" or "compact"; see `scalr.synthesis.tables.TableBuilder`.
        leaks: "report" columns that identify synthetic rows, or "drop" them from the files as well.
    """

    read: ReadLogs
    target: str | None
    layout: str = "target"
    leaks: LeakCheck = "off"

    @contextmanager
    def open(self, job: Job, out: Path, execution: Execution) -> Iterator[LocalJobFolder]:
        """Open a folder that can be resumed, and read the logs; see `Engine.open`."""
        refuse_unfit(self.leaks, self.layout)
        plan = None if execution.resume is None else RunPlan(job.command, job.request)
        with (
            resumable_folder(out, plan, resume=bool(execution.resume)) as run,
            memory.room(run.room, execution.memory_limit, execution.threads) as room,
        ):
            stored, reading = self.read(room, execution.board)
            run.check_inputs(stored.inputs)
            if self.layout == "target":
                check_columns(stored)
            yield LocalJobFolder(self, run, execution, room, stored, reading)


@dataclass(frozen=True, slots=True, eq=False)
class LocalJobFolder:
    """A folder with logs that were read; see `JobFolder`."""

    engine: LocalEngine
    run: UnfinishedRun
    execution: Execution
    room: Room
    stored: StoredPair
    reading: Receipt

    @property
    def folder(self) -> Path:
        """Return the folder of the output."""
        return self.run.folder

    @property
    def resources(self) -> StudyResources:
        """Return resources with the checkpoints of the run; its trials are kept unless it keeps no checkpoints."""
        trials_file = self.execution.trials_file or (None if self.execution.resume is None else self.run.trials_file)
        return StudyResources(self.execution.n_threads, self.execution.board, trials_file, self.run.pieces)

    def sample(self) -> StudySample:
        """Return the whole logs."""
        return StudySample(self.stored.load(), (self.reading,))

    def generate(self, steps: Steps) -> Generated:
        """Write the synthetic events part by part, then check them for leaks."""
        stored, board = self.stored, self.execution.board
        threads = memory.threads_within(self.room, len(stored.target.users))
        compared = memory.rows_within(self.room, COMPARED_ROWS)
        written = write_events(
            stored, steps, self.folder, layout=self.engine.layout, threads=threads, compared_rows=compared, board=board,
            pieces=self.run.pieces,
        )  # fmt: skip
        self.room.clear()
        leaks, digests = check_written(
            self.engine.leaks, self.engine.target, stored.target.columns, written.digests, board
        )
        facts = event_facts(written, stored) | ({"leaks": leaks} if leaks else {})
        record = Record(steps, stored, facts, (self.reading, *written.receipts))
        return Generated(record, written.facts, digests, leaks)

    def manifest_place(self) -> tuple[Path, None]:
        """Return the folder of the output."""
        return self.folder, None


def event_facts(written: LocalOutput, stored: StoredPair) -> dict[str, Any]:
    """Return what the manifest records about written events."""
    return {
        "synthetic_events": len(written.facts),
        "item_coverage": round(written.facts.item_coverage(stored.target), 6),
        "generation_id": written.generation_id,
        "privacy": written.privacy,
    } | ({"synthetic_negatives": written.negatives} if written.negatives else {})


@dataclass(frozen=True, slots=True, eq=False)
class LoadedLogs:
    """Logs in memory, for a job that is a study alone.

    Attributes:
        pair: The logs.
        reading: Receipt of reading them.
    """

    pair: Pair
    reading: Receipt

    @contextmanager
    def open(self, job: Job, out: Path, execution: Execution) -> Iterator[LoadedJobFolder]:
        """Open a new folder, which is removed where the study does not finish; see `Engine.open`."""
        with resumable_folder(out, None) as run:
            resources = StudyResources(execution.n_threads, execution.board, execution.trials_file, run.pieces)
            yield LoadedJobFolder(run.folder, resources, StudySample(self.pair, (self.reading,)))


@dataclass(frozen=True, slots=True, eq=False)
class LoadedJobFolder:
    """A folder for a study; see `JobFolder`."""

    folder: Path
    resources: StudyResources
    logs: StudySample

    def sample(self) -> StudySample:
        """Return the whole logs."""
        return self.logs

    def generate(self, steps: Steps) -> None:
        """Generate nothing."""

    def manifest_place(self) -> tuple[Path, None]:
        """Return the folder of the output."""
        return self.folder, None
