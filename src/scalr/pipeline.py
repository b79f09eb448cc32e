"""Whole jobs: generate synthetic events; study what they are worth; run both and write everything down."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from scalr import emit, generation, memory, output
from scalr.config import RunSettings, Steps
from scalr.domain import Pair
from scalr.facts import facts_of, resting_on_few
from scalr.generation import generation_name, negative_law, refuse_unprotected
from scalr.job import begun_run, generation_request, job_facts, page_facts
from scalr.leaks import LeakCheck, check_written, refuse_unfit
from scalr.memory import Room
from scalr.narrowing import HELD_ROWS
from scalr.negatives import labelled_rows_of
from scalr.pieces import Pieces
from scalr.progress import Board, SilentBoard
from scalr.reading import Source, read_logs, refuse_changed_inputs
from scalr.receipt import Receipt, Stopwatch
from scalr.refine import refine
from scalr.report import contents_of, write_report
from scalr.report.ablations import standalone, write_sweeps_page
from scalr.sample import sample
from scalr.schema import Columns
from scalr.spark.generation import SparkGeneration, generate_on_spark
from scalr.spark.session import is_spark_frame
from scalr.store import StoredPair
from scalr.study import Study, arms_of, check_names, study
from scalr.sweeps import sweep
from scalr.synthetic import SyntheticEvents, rows_of
from scalr.translators import fit
from scalr.trials import Journal
from scalr.unfinished import Plan, Unfinished


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """Synthetic events of whole logs in memory, and how they came about.

    Attributes:
        events: The events as codes.
        generation_id: 16 hexadecimal digits; equal for equal logs, settings and seed.
        receipts: One per stage, from reading on.
        steps: The settings.
        stored: The logs, with their source packed.
    """

    events: SyntheticEvents
    generation_id: str
    receipts: tuple[Receipt, ...]
    steps: Steps
    stored: StoredPair

    @property
    def pair(self) -> Pair:
        """Return the logs."""
        return self.events.pair

    def table(self, layout: str = "target") -> pa.Table:
        """Return the events as an Arrow table; see `scalr.emit.TableBuilder` for the layouts."""
        law = negative_law(self.stored, self.steps)
        build = emit.TableBuilder(self.stored, self.generation_id, layout, labelled=law is not None)
        if law is None:
            return build(rows_of(self.events))
        labelled = labelled_rows_of(self.events, law, self.stored, self.steps.sample)
        return pa.concat_tables([build.schema.empty_table(), *(build(rows).cast(build.schema) for rows in labelled)])


def generate(
    source: Source | Mapping[str, Source],
    target: Source,
    *,
    items: Source | None = None,
    columns: Columns | None = None,
    steps: Steps | None = None,
    threads: int | None = None,
    board: Board | None = None,
) -> Generation | SparkGeneration:
    """Turn source events into synthetic target events in memory: read, fit, sample, refine.

    For events that do not fit in memory there is `write_generation`. Frames of Spark give `SparkGeneration`.

    Args:
        source: File, glob, folder or frame (pandas, Polars, PyArrow, DuckDB, Spark); or several, by domain name.
        target: The same, of the domain to enrich.
        items: Item table, for values and further columns.
        columns: Column names in all logs; common names are found without.
        steps: Settings; of these `seed`, `translate`, `sample` and `refine` are used.
        threads: Threads to draw with; all cores if None. The events do not depend on it.
        board: Where progress is shown.

    Raises:
        InputError: If a log cannot be used.

    Example:
        >>> import scalr
        >>> world = scalr.simulate(n_users=200, seed=1)
        >>> events = scalr.generate(world.source, world.target).table()
        >>> events.column_names[:5]
        ['user', 'item', 'time', 'value', 'is_synthetic']
    """
    if is_spark_frame(source):
        return generate_on_spark(source, target, items=items, columns=columns, steps=steps, board=board)
    board = board or SilentBoard()
    with Stopwatch() as watch:
        steps = steps or Steps()
        join = steps.negatives.kind != "none"
        stored = read_logs(source, target, items=items, columns=columns or Columns(), item_columns=join, board=board)
    rows = len(stored.source) + len(stored.target)
    return generate_from(stored, steps, watch.receipt("read", rows, rows), threads=threads, board=board)


def generate_from(
    stored: StoredPair, steps: Steps, reading: Receipt, *, threads: int | None = None, board: Board | None = None
) -> Generation:
    """Fit, sample and refine in memory, on whole logs that were read already."""
    board = board or SilentBoard()
    refuse_unprotected(steps)
    pair = stored.load()
    board.stage("fitting the translation")
    translation = fit(pair, settings=steps.translate)
    drawn = board.stage("drawing synthetic events", len(pair.source.positives()))
    events = sample(translation, steps.sample, seed=steps.seed, threads=threads, progress=drawn)
    board.stage("refining")
    events = refine(events, steps.refine)
    return Generation(events, generation_name(stored, steps), (reading, *events.receipts), steps, stored)


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
        layout: "target" or "compact"; see `scalr.emit.TableBuilder`.
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
        output.resumable_folder(out, Plan("generate", asked), resume=resume) as made,
        memory.room(made.room, memory_limit, threads) as room,
    ):
        folder = made.folder
        stored, reading = read(room, board)
        made.check_inputs(stored.inputs)
        if layout == "target":
            emit.check_columns(stored)
        written = write_events(stored, steps, made, layout, room, board)
        facts = job_facts("generate", steps, stored, inputs, asked) | event_facts(written, stored)
        room.clear()
        found, digests = check_written(leaks, inputs.get("target"), stored.target.columns, written.digests, board)
        board.stage("writing the report")
        receipts = (reading, *written.receipts)
        shown = contents_of(written.facts, pair=stored, receipts=receipts, settings=facts["settings"], leaks=found)
        write_report(folder / "report.html", shown)
        facts |= {"leaks": found} if found else {}
        refuse_changed_inputs(stored)
        return output.write_manifest(folder, receipts, facts, digests), stored


def write_study(
    pair: Pair,
    steps: Steps,
    out: Path,
    *,
    inputs: Mapping[str, Any],
    reading: Receipt,
    notes: tuple[str, ...] = (),
    threads: int | None = None,
    trials_file: Path | None = None,
    board: Board | None = None,
) -> dict[str, Any]:
    """Run a study and write `study.json`, `report.html` and `manifest.json` into a new folder.

    Returns:
        The content of `study.json`.

    Raises:
        OutputError: If `out` cannot become the output.
    """
    board = board or SilentBoard()
    with output.finished_folder(out) as folder:
        done, receipts = timed_study(pair, steps, threads, board, trials_file)
        content = done.to_json()
        output.write_json(folder / "study.json", content)
        facts = job_facts("study", steps, pair, inputs) | _study_facts(done)
        board.stage("writing the report")
        write_report(folder / "report.html", contents_of(done, settings=facts["settings"], notes=notes))
        output.write_manifest(folder, (reading, *receipts), facts)
    return content


def write_sweeps(
    pair: Pair,
    steps: Steps,
    names: Sequence[str],
    out: Path,
    *,
    inputs: Mapping[str, Any],
    reading: Receipt,
    threads: int | None = None,
    trials_file: Path | None = None,
    board: Board | None = None,
) -> dict[str, Any]:
    """Sweep settings; write `sweeps.json`, `report.html`, a figure per sweep and `manifest.json` into a new folder.

    Returns:
        The content of `sweeps.json`.

    Raises:
        ConfigError: If no sweep has a name.
        OutputError: If `out` cannot become the output.
    """
    board = board or SilentBoard()
    with output.finished_folder(out) as folder:
        with Stopwatch() as watch:
            done = sweep(
                pair, steps, names, threads=threads or os.cpu_count() or 1, board=board, journal=Journal(trials_file)
            )
        base = done.base[0]
        receipt = watch.receipt("sweeps", len(pair.source) + len(pair.target), base.events, seeds=steps.study.seeds)
        content = done.to_json()
        output.write_json(folder / "sweeps.json", content)
        facts = job_facts("study", steps, pair, {**inputs, "sweep": list(done.points)})
        facts |= {"synthetic_events": base.events, "item_coverage": round(base.item_coverage, 6)}
        board.stage("writing the report")
        figures = write_sweeps_page(folder / "report.html", content, **page_facts(pair, facts["settings"]))
        for name, figure in figures.items():
            (folder / f"sweep-{name}.svg").write_text(standalone(figure), encoding="utf-8")
        output.write_manifest(folder, (reading, receipt), facts)
    return content


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
        written = write_events(stored, settings, made, settings.layout, room, board)
        content = done.to_json()
        output.write_json(folder / "evaluation.json", content)
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
        manifest = output.write_manifest(folder, (reading, *written.receipts, *receipts[-1:]), facts, digests)
    return {**manifest, "evaluation": content}


def write_events(
    stored: StoredPair, steps: Steps, made: Unfinished, layout: str, room: Room, board: Board
) -> generation.Written:
    """Write the synthetic events of stored logs, within the memory of a room."""
    threads = memory.threads_within(room, len(stored.target.users))
    held = memory.rows_within(room, HELD_ROWS)
    return generation.write_events(
        stored, steps, made.folder, layout=layout, threads=threads, held_rows=held, board=board, pieces=made.pieces
    )


def event_facts(written: generation.Written, stored: StoredPair) -> dict[str, Any]:
    """Return what a manifest says of written events."""
    return {
        "synthetic_events": len(written.facts),
        "item_coverage": round(written.facts.item_coverage(stored.target), 6),
        "generation_id": written.generation_id,
        "privacy": written.privacy,
    } | ({"synthetic_negatives": written.negatives} if written.negatives else {})


def with_choice(settings: RunSettings, done: Study) -> RunSettings:
    """Return the settings with those that the study chose."""
    return settings.model_copy(update={name: getattr(done.steps, name) for name in type(done.steps).model_fields})


def timed_study(
    pair: Pair,
    steps: Steps,
    threads: int | None,
    board: Board,
    trials_file: Path | None,
    pieces: Pieces | None = None,
) -> tuple[Study, tuple[Receipt, ...]]:
    """Run a study; return it with the receipts of its synthetic events, and its own."""
    n_arms = len(arms_of(steps))
    with Stopwatch() as watch:
        n_threads, journal = threads or os.cpu_count() or 1, Journal(trials_file)
        done = study(pair, steps, threads=n_threads, board=board, journal=journal, pieces=pieces)
    events = done.synthetic["scalr"]
    receipt = watch.receipt(
        "study", len(pair.source) + len(pair.target), len(events), seeds=steps.study.seeds, arms=n_arms
    )
    return done, (*events.receipts, receipt)


def _study_facts(done: Study) -> dict[str, Any]:
    events = done.synthetic["scalr"]
    privacy = resting_on_few(facts_of(events), done.steps.translate.privacy)
    return {"synthetic_events": len(events), "item_coverage": round(events.item_coverage(), 6), "privacy": privacy}
