"""The jobs of `--engine spark`: from Parquet folders to a finished folder of synthetic events, with a study or not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scalr import output
from scalr.auto import AUTO
from scalr.config import RunSettings, Steps
from scalr.engines.files import find_files
from scalr.errors import ConfigError, InputError, OutputError
from scalr.facts import people_behind
from scalr.job import columns_of, job_facts, judges_impressions
from scalr.pipeline import timed_study, with_choice
from scalr.progress import Board, SilentBoard
from scalr.receipt import Receipt, Stopwatch
from scalr.report import contents_of, write_report
from scalr.schema import Columns
from scalr.spark.days import DAY_COLUMN, write_day
from scalr.spark.fitting import ON_SPARK, check_translator
from scalr.spark.generation import SparkGeneration, generate_from_logs
from scalr.spark.logs import SparkLogs, look
from scalr.spark.sampling import STUDY_EVENTS, study_pair
from scalr.synthetic import catalogue_of


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


def is_uri(files: str) -> bool:
    """Say whether files are named as Spark names those of other machines, such as s3a://bucket/folder."""
    scheme, found, _ = files.partition("://")
    return bool(found) and scheme.isalnum()


def source_frame(session: Any, files: str) -> Any:
    """Return a source log as a frame of Spark; a folder may be partitioned (date=2026-01-31/...).

    Raises:
        InputError: If there are no such files, or they are not Parquet.
    """
    if not is_uri(files):
        found, format_ = find_files(files)
        if format_ != "Parquet":
            raise InputError(
                f"the source '{files}' holds {format_}, whose types Spark and scalr would guess by different rules",
                expected="Parquet files for --engine spark",
                fix="write it as Parquet, or pass a frame with types to scalr.generate",
            )
        if not Path(files).is_dir():
            return session.read.parquet(*(str(file.absolute()) for file in found))
        files = str(Path(files).absolute())
    return session.read.parquet(files)


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


@dataclass(frozen=True, slots=True)
class Written:
    """Synthetic events that Spark wrote.

    Attributes:
        rows: Rows, negative ones among them.
        item_coverage: Share of the target items (with a positive event) that the rows reach, in [0, 1].
        few: Rows with fewer other users behind them than each of `FEW_USERS`; negative ones have nobody to count.
        receipts: One per stage.
    """

    rows: int
    item_coverage: float
    few: tuple[int, ...]
    receipts: tuple[Receipt, ...]


def write_generation_on_spark(
    session: Any, inputs: Inputs, steps: Steps, out: Path, *, settings: Mapping[str, Any],
    partitions: int | None = None, day: dt.date | None = None, board: Board | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write `synthetic/` and `manifest.json` into a new folder, which the driver and all workers must share.

    With `day` only events of that day are written, into `synthetic/day=...`, and `manifest-....json` beside: other days
    that the folder holds stay, and a day that is made twice is there once.

    Args:
        session: The session.
        inputs: What to read.
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
        with output.finished_folder(out) as folder:
            facts, receipts = _made(session, inputs, steps, folder, settings, partitions, None, board)
            return output.write_manifest(folder, receipts, facts)
    check_day(out)
    out.mkdir(parents=True, exist_ok=True)
    facts, receipts = _made(session, inputs, steps, out, settings, partitions, day, board)
    written = out / "synthetic" / f"{DAY_COLUMN}={day}"
    return output.write_manifest(written, receipts, facts, file=out / f"manifest-{day}.json")


def check_day(out: Path) -> None:
    """Refuse a folder that holds something else than days.

    Raises:
        OutputError: If it does.
    """
    if not out.exists():
        output.check_free(out)
    elif odd := [one.name for one in out.iterdir() if one.name != "synthetic" and not one.name.startswith("manifest-")]:
        raise OutputError(
            f"output folder '{out}' holds '{odd[0]}', so it is no folder of days",
            expected="a new folder, or one that --day has made",
            fix="choose another --out",
        )


def _made(
    session: Any, inputs: Inputs, steps: Steps, folder: Path, settings: Mapping[str, Any], partitions: int | None,
    day: dt.date | None, board: Board,
) -> tuple[dict[str, Any], tuple[Receipt, ...]]:  # fmt: skip
    board.stage("reading logs")
    with Stopwatch() as watch:
        logs = inputs.read(session, steps)
    rows = logs.rows + len(logs.pair.target)
    made = generate_from_logs(
        logs, steps, session, watch.receipt("read", rows, rows), partitions=partitions, day=day, board=board
    )
    try:
        board.stage("drawing and writing synthetic events")
        written = _written(made, folder, day)
    finally:
        made.release()
    pair = replace(made.pair, inputs=logs.inputs)
    named = {**settings, "engine": "spark", "spark": facts_of(session), **({} if day is None else {"day": str(day)})}
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
    inputs = Inputs.of(settings)
    with output.finished_folder(out) as folder:
        board.stage("collecting users for the study")
        logs = inputs.read(session, settings)
        pair, share = study_pair(
            logs, settings.target, settings.items, most=study_events,
            item_columns=settings.negatives.kind != "none", columns=inputs.columns,
            source_columns=inputs.source_columns, target_columns=inputs.target_columns,
            time_unit=settings.time_unit, ids=settings.ids, drop_nulls=settings.drop_nulls,
        )  # fmt: skip
        done, receipts = timed_study(pair.load(), settings, threads, board, trials_file)
        settings = with_choice(settings, done)
        facts, written = _made(session, inputs, settings, folder, {}, None, None, board)
        content = done.to_json()
        output.write_json(folder / "evaluation.json", content)
        said = f"The study saw {100 * share:.0f} % of the target users, and no users without target events."
        board.stage("writing the report")
        shown = contents_of(done, receipts=written, settings=facts["settings"], notes=(*notes, said))
        write_report(folder / "report.html", shown)
        facts |= {"command": "run", "study_share": share}
        manifest = output.write_manifest(folder, (*written, *receipts[-1:]), facts)
    return {**manifest, "evaluation": content}


def facts_of(session: Any) -> dict[str, Any]:
    """Return what the manifest says of a session."""
    context = session.sparkContext
    return {"version": context.version, "master": context.master, "parallelism": context.defaultParallelism}


def _written(made: SparkGeneration, folder: Path, day: dt.date | None) -> Written:
    """Let tasks write the events; each counts once, however often it was tried."""
    out = folder / "synthetic"
    with Stopwatch() as watch:
        filed = made.write(out) if day is None else write_day(made.write, out, day, made.frame.columns)
    coverage = filed.items / max(len(catalogue_of(made.pair.target)), 1)
    return Written(filed.rows, coverage, filed.few, made.stage_receipts(watch))
