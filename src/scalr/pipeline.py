"""Whole jobs: generate synthetic events; study what they are worth; run both and write everything down."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from scalr import emit, generation, memory, output
from scalr.config import ColumnSettings, RunSettings, Steps
from scalr.domain import Pair
from scalr.facts import facts_of, resting_on_few
from scalr.generation import generation_name, negative_law, refuse_unprotected
from scalr.leaks import LeakCheck, check_written, refuse_unfit
from scalr.memory import Room
from scalr.narrowing import HELD_ROWS
from scalr.negatives import labelled_rows_of
from scalr.progress import Board, SilentBoard
from scalr.reading import Source, read_logs
from scalr.receipt import Receipt, Stopwatch
from scalr.refine import refine
from scalr.report import contents_of, write_report
from scalr.report.ablations import standalone, write_sweeps_page
from scalr.sample import sample
from scalr.schema import Columns
from scalr.store import StoredPair
from scalr.study import Study, arms_of, study
from scalr.summary import summarise
from scalr.sweeps import sweep
from scalr.synthetic import SyntheticEvents, rows_of
from scalr.translators import fit
from scalr.trials import Journal


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
) -> Generation:
    """Turn source events into synthetic target events in memory: read, fit, sample, refine.

    For events that do not fit in memory there is `write_generation`, which `scalr generate` uses.

    Args:
        source: File, glob, folder or frame (pandas, Polars, PyArrow, DuckDB); or several, by domain name.
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
        board: Where progress is shown.

    Returns:
        The manifest, and the logs.

    Raises:
        InputError: If a log cannot be used, or does not leave enough of the memory limit.
        OutputError: If `out` cannot become the output.
    """
    board = board or SilentBoard()
    refuse_unfit(leaks, layout)
    with output.finished_folder(out) as folder, memory.room(folder, memory_limit, threads) as room:
        stored, reading = read(room, board)
        if layout == "target":
            emit.check_columns(stored)
        written = write_events(stored, steps, folder, layout, room, board)
        facts = job_facts("generate", steps, stored, inputs) | event_facts(written, stored)
        room.clear()
        found, digests = check_written(leaks, inputs.get("target"), stored.target.columns, written.digests, board)
        board.stage("writing the report")
        receipts = (reading, *written.receipts)
        shown = contents_of(written.facts, pair=stored, receipts=receipts, settings=facts["settings"], leaks=found)
        write_report(folder / "report.html", shown)
        facts |= {"leaks": found} if found else {}
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
        done, receipts = _timed_study(pair, steps, threads, board, trials_file)
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
) -> dict[str, Any]:
    """Generate synthetic events from whole logs, study what they are worth, write both.

    Writes `synthetic/`, `evaluation.json` (the study), `report.html` and `manifest.json` into a new folder.

    Returns:
        The manifest, with the study under "evaluation".

    Raises:
        InputError: If a log, a setting or the folder cannot be used.
    """
    board = board or SilentBoard()
    refuse_unfit(settings.leaks, settings.layout)
    with output.finished_folder(out) as folder, memory.room(folder, memory_limit, threads) as room:
        with Stopwatch() as watch:
            stored = read_settings(settings, room, board)
        if settings.layout == "target":
            emit.check_columns(stored)
        rows = len(stored.source) + len(stored.target)
        reading = watch.receipt("read", rows, rows)
        done, receipts = _timed_study(stored.load(), settings, threads, board, trials_file)
        settings = _with_choice(settings, done)
        written = write_events(stored, settings, folder, settings.layout, room, board)
        content = done.to_json()
        output.write_json(folder / "evaluation.json", content)
        facts = job_facts("run", settings, stored, {}) | event_facts(written, stored)
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
        manifest = output.write_manifest(folder, (reading, *written.receipts, *receipts[-1:]), facts, digests)
    return {**manifest, "evaluation": content}


def write_events(
    stored: StoredPair, steps: Steps, folder: Path, layout: str, room: Room, board: Board
) -> generation.Written:
    """Write the synthetic events of stored logs, within the memory of a room."""
    threads = memory.threads_within(room, len(stored.target.users))
    held = memory.rows_within(room, HELD_ROWS)
    return generation.write_events(stored, steps, folder, layout=layout, threads=threads, held_rows=held, board=board)


def event_facts(written: generation.Written, stored: StoredPair) -> dict[str, Any]:
    """Return what a manifest says of written events."""
    return {
        "synthetic_events": len(written.facts),
        "item_coverage": round(written.facts.item_coverage(stored.target), 6),
        "generation_id": written.generation_id,
        "privacy": written.privacy,
    } | ({"synthetic_negatives": written.negatives} if written.negatives else {})


def read_settings(settings: RunSettings, room: Room | None = None, board: Board | None = None) -> StoredPair:
    """Read the logs that a configuration names."""

    def columns(chosen: ColumnSettings | None) -> Columns | None:
        return None if chosen is None else Columns(**chosen.model_dump())

    return read_logs(
        settings.source,
        settings.target,
        items=settings.items,
        columns=columns(settings.columns) or Columns(),
        source_columns=columns(settings.source_columns),
        target_columns=columns(settings.target_columns),
        time_unit=settings.time_unit,
        ids=settings.ids,
        drop_nulls=settings.drop_nulls,
        item_columns=settings.negatives.kind != "none" or settings.judged_by == "impressions",
        room=room,
        board=board,
    )


def _with_choice(settings: RunSettings, done: Study) -> RunSettings:
    """Return the settings with those that the study chose."""
    return settings.model_copy(update={name: getattr(done.steps, name) for name in type(done.steps).model_fields})


def _timed_study(
    pair: Pair, steps: Steps, threads: int | None, board: Board, trials_file: Path | None
) -> tuple[Study, tuple[Receipt, ...]]:
    n_arms = len(arms_of(steps))
    with Stopwatch() as watch:
        done = study(pair, steps, threads=threads or os.cpu_count() or 1, board=board, journal=Journal(trials_file))
    events = done.synthetic["scalr"]
    receipt = watch.receipt(
        "study", len(pair.source) + len(pair.target), len(events), seeds=steps.study.seeds, arms=n_arms
    )
    return done, (*events.receipts, receipt)


def _study_facts(done: Study) -> dict[str, Any]:
    events = done.synthetic["scalr"]
    privacy = resting_on_few(facts_of(events), done.steps.translate.privacy)
    return {"synthetic_events": len(events), "item_coverage": round(events.item_coverage(), 6), "privacy": privacy}


def page_facts(pair: Pair, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every page says about its run: title, logs, settings, environment."""
    return {
        "title": f"{' and '.join(pair.source.items.domains)} → {pair.target.name}",
        "pair": summarise(pair).to_json(),
        "warnings": pair.warnings,
        "settings": settings,
        "environment": output.environment(),
    }


def job_facts(command: str, steps: Steps, pair: Pair | StoredPair, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the manifest of any job says at its top level."""
    settings = {**steps.model_dump(mode="json"), **inputs}
    return {
        "command": command,
        "seed": steps.seed,
        "settings": settings,
        "settings_hash": steps.digest(),
        "inputs": [dict(one) for one in pair.inputs],
        "warnings": list(pair.warnings),
    }
