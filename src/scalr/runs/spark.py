"""Jobs on Spark: tasks write the events into a folder that all machines share; a study gets a sample of users."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scalr.engines import (
    DAY_COLUMN,
    ON_SPARK,
    STUDY_EVENTS,
    check_translator,
    generate_from_logs,
    study_pair,
    write_parts,
)
from scalr.foundation import Checkpoints, OutputError, Steps, Stopwatch
from scalr.logs import LogRequest
from scalr.runs.execution import Execution, StudyResources
from scalr.runs.folders import check_free, finished_folder
from scalr.runs.job import Job
from scalr.runs.records import Generated, Record, StudySample
from scalr.runs.requests import read_on_spark
from scalr.studies import AUTO
from scalr.synthesis import people_behind


@dataclass(frozen=True, slots=True, eq=False)
class SparkEngine:
    """The engine that runs on Spark.

    Attributes:
        session: The session.
        request: The logs to read.
        partitions: Parts that the source is cut into; None to choose.
        day: Only source events of this day (UTC) get synthetic events, though all are evidence for the translation; the
            output is then a folder of days, in which other days stay.
        study_events: Source events that a study gets, at most about.
    """

    session: Any
    request: LogRequest
    partitions: int | None = None
    day: dt.date | None = None
    study_events: int = STUDY_EVENTS

    @contextmanager
    def open(self, job: Job, out: Path, execution: Execution) -> Iterator[SparkJobFolder]:
        """Open a folder that the driver and all workers share; see `Engine.open`."""
        chooses = job.study is not None and job.steps.translate.translator == AUTO
        check_translator(job.steps.translate.model_copy(update={"translator": ON_SPARK[0]} if chooses else {}))
        if self.day is None:
            with finished_folder(out) as folder:
                yield SparkJobFolder(self, folder, execution, job.steps)
        else:
            check_days(out)
            out.mkdir(parents=True, exist_ok=True)
            yield SparkJobFolder(self, out, execution, job.steps)


@dataclass(frozen=True, slots=True, eq=False)
class SparkJobFolder:
    """A folder that all machines share; see `JobFolder`."""

    engine: SparkEngine
    folder: Path
    execution: Execution
    steps: Steps

    @property
    def resources(self) -> StudyResources:
        """Return the resources of this machine, without checkpoints."""
        return StudyResources(
            self.execution.n_threads, self.execution.board, self.execution.trials_file, Checkpoints(None)
        )

    def sample(self) -> StudySample:
        """Collect all events of a share of the target users."""
        engine = self.engine
        self.execution.board.stage("collecting users for the study")
        logs = read_on_spark(engine.session, engine.request, self.steps)
        pair, share = study_pair(logs, engine.request, most=engine.study_events)
        note = f"The study saw {100 * share:.0f} % of the target users, and no users without target events."
        return StudySample(pair.load(), facts={"study_share": share}, notes=(note,))

    def generate(self, steps: Steps) -> Generated:
        """Let tasks write the events of the whole source."""
        engine, board = self.engine, self.execution.board
        board.stage("reading logs")
        with Stopwatch() as watch:
            logs = read_on_spark(engine.session, engine.request, steps)
        rows = logs.rows + len(logs.pair.target)
        generation = generate_from_logs(
            logs, steps, engine.session, watch.receipt("read", rows, rows), partitions=engine.partitions,
            day=engine.day, board=board,
        )  # fmt: skip
        try:
            board.stage("drawing and writing synthetic events")
            written = write_parts(generation, self.folder, engine.day)
        finally:
            generation.release()
        n_negatives = generation.negatives_of(written.rows)
        n_events = written.rows - n_negatives
        facts = {
            "synthetic_events": n_events,
            "item_coverage": round(written.item_coverage, 6),
            "generation_id": generation.generation_id,
            "privacy": people_behind(n_events, written.few, steps.translate.privacy),
        } | ({"synthetic_negatives": n_negatives} if n_negatives else {})
        settings = {"engine": "spark", "spark": session_facts(engine.session)}
        settings |= {} if engine.day is None else {"day": str(engine.day)}
        pair = replace(generation.pair, inputs=logs.inputs)
        return Generated(Record(steps, pair, facts, written.receipts, settings))

    def manifest_place(self) -> tuple[Path, Path | None]:
        """Return the folder of the output; with a day the part of that day, and a manifest of its own."""
        day = self.engine.day
        if day is None:
            return self.folder, None
        return self.folder / "synthetic" / f"{DAY_COLUMN}={day}", self.folder / f"manifest-{day}.json"


def check_days(out: Path) -> None:
    """Refuse a folder that holds anything but days.

    Raises:
        OutputError: If it does.
    """
    if not out.exists():
        check_free(out)
        return
    others = [file.name for file in out.iterdir() if file.name != "synthetic" and not file.name.startswith("manifest-")]
    if others:
        raise OutputError(
            f"output folder '{out}' holds '{others[0]}', so it is not a folder of days",
            expected="a new folder, or a folder that --day has made",
            fix="choose another --out",
        )


def session_facts(session: Any) -> Mapping[str, Any]:
    """Return what the manifest records about a session."""
    context = session.sparkContext
    return {"version": context.version, "master": context.master, "parallelism": context.defaultParallelism}
