"""Whole jobs: generate synthetic events; study what they are worth; run both and write everything down."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from scalr import emit, output
from scalr.config import ColumnSettings, RunSettings, Steps
from scalr.domain import Pair
from scalr.progress import Board, SilentBoard
from scalr.reading import Source, read_pair
from scalr.receipt import Receipt, Stopwatch
from scalr.refine import refine
from scalr.report import contents_of, write_report
from scalr.sample import sample
from scalr.schema import Columns
from scalr.study import Study, study
from scalr.synthetic import SyntheticEvents
from scalr.translators import fit


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """Synthetic events of whole logs, and how they came about.

    Attributes:
        events: The events as codes.
        generation_id: 16 hexadecimal digits; equal for equal logs, settings and seed.
        receipts: One per stage, from reading on.
        steps: The settings.
    """

    events: SyntheticEvents
    generation_id: str
    receipts: tuple[Receipt, ...]
    steps: Steps

    @property
    def pair(self) -> Pair:
        """Return the logs."""
        return self.events.pair

    def table(self, layout: str = "target") -> pa.Table:
        """Return the events as an Arrow table; see `scalr.emit.write_events` for the layouts."""
        return emit.to_table(self.events, self.generation_id, layout)

    def facts(self) -> dict[str, Any]:
        """Return what a manifest says of the events."""
        return {
            "synthetic_events": len(self.events),
            "item_coverage": round(self.events.item_coverage(), 6),
            "generation_id": self.generation_id,
        }


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
    """Turn source events into synthetic target events: read, fit, sample, refine.

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
    board.stage("reading logs")
    with Stopwatch() as watch:
        pair = read_pair(source, target, items=items, columns=columns or Columns())
    rows = len(pair.source) + len(pair.target)
    return generate_from(pair, steps or Steps(), watch.receipt("read", rows, rows), threads=threads, board=board)


def generate_from(
    pair: Pair, steps: Steps, reading: Receipt, *, threads: int | None = None, board: Board | None = None
) -> Generation:
    """Fit, sample and refine on whole logs that were read already."""
    board = board or SilentBoard()
    board.stage("fitting the translation")
    translation = fit(pair, settings=steps.translate)
    drawn = board.stage("drawing synthetic events", len(pair.source.positives()))
    events = sample(translation, steps.sample, seed=steps.seed, threads=threads, progress=drawn)
    board.stage("refining")
    events = refine(events, steps.refine)
    settings = steps.model_copy(update={"seed": 0}).model_dump_json(include={"translate", "sample", "refine"})
    name = emit.generation_id(pair, settings, steps.seed)
    return Generation(events, name, (reading, *events.receipts), steps)


def write_generation(
    generation: Generation, out: Path, *, layout: str = "target", inputs: Mapping[str, Any], board: Board | None = None
) -> dict[str, Any]:
    """Write `synthetic/`, `report.html` and `manifest.json` into a new folder, and return the manifest.

    Raises:
        OutputError: If `out` cannot become the output.
    """
    board = board or SilentBoard()
    with output.finished_folder(out) as folder:
        written = board.stage("writing synthetic events", len(generation.events))
        emitted = emit.write_events(generation.events, folder, generation.generation_id, layout, written)
        board.stage("writing the report")
        facts = _facts("generate", generation.steps, generation.pair, inputs) | generation.facts()
        shown = contents_of(generation.events, receipts=generation.receipts, settings=facts["settings"])
        write_report(folder / "report.html", shown)
        return output.write_manifest(folder, (*generation.receipts, emitted), facts)


def write_study(
    pair: Pair,
    steps: Steps,
    out: Path,
    *,
    inputs: Mapping[str, Any],
    reading: Receipt,
    notes: tuple[str, ...] = (),
    threads: int | None = None,
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
        done, receipts = _timed_study(pair, steps, threads, board)
        content = done.to_json()
        output.write_json(folder / "study.json", content)
        facts = _facts("study", steps, pair, inputs) | _study_facts(done)
        board.stage("writing the report")
        write_report(folder / "report.html", contents_of(done, settings=facts["settings"], notes=notes))
        output.write_manifest(folder, (reading, *receipts), facts)
    return content


def run(
    settings: RunSettings,
    out: Path,
    *,
    threads: int | None = None,
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
    output.check_free(out)
    with output.finished_folder(out) as folder:
        board.stage("reading logs")
        with Stopwatch() as watch:
            pair = read_settings(settings)
        if settings.layout == "target":
            emit.check_columns(pair)
        rows = len(pair.source) + len(pair.target)
        done, receipts = _timed_study(pair, settings, threads, board)
        generation = generate_from(pair, settings, watch.receipt("read", rows, rows), threads=threads, board=board)
        written = board.stage("writing synthetic events", len(generation.events))
        emitted = emit.write_events(generation.events, folder, generation.generation_id, settings.layout, written)
        content = done.to_json()
        output.write_json(folder / "evaluation.json", content)
        facts = _facts("run", settings, pair, {}) | generation.facts()
        board.stage("writing the report")
        shown = contents_of(
            done,
            whole=generation.events,
            receipts=generation.receipts,
            settings=facts["settings"],
            title=title,
            notes=notes,
        )
        write_report(folder / "report.html", shown)
        manifest = output.write_manifest(folder, (*generation.receipts, emitted, *receipts[-1:]), facts)
    return {**manifest, "evaluation": content}


def read_settings(settings: RunSettings) -> Pair:
    """Read the logs that a configuration names."""

    def columns(chosen: ColumnSettings | None) -> Columns | None:
        return None if chosen is None else Columns(**chosen.model_dump())

    return read_pair(
        settings.source,
        settings.target,
        items=settings.items,
        columns=columns(settings.columns) or Columns(),
        source_columns=columns(settings.source_columns),
        target_columns=columns(settings.target_columns),
        time_unit=settings.time_unit,
        ids=settings.ids,
        drop_nulls=settings.drop_nulls,
    )


def _timed_study(pair: Pair, steps: Steps, threads: int | None, board: Board) -> tuple[Study, tuple[Receipt, ...]]:
    n_arms = len({"real_only", *steps.study.arms})
    advance = board.stage("training and judging", 2 * steps.study.seeds * n_arms, "fits")
    with Stopwatch() as watch:
        done = study(pair, steps, threads=threads or os.cpu_count() or 1, progress=lambda name: advance(1))
    events = done.synthetic["scalr"]
    receipt = watch.receipt(
        "study", len(pair.source) + len(pair.target), len(events), seeds=steps.study.seeds, arms=n_arms
    )
    return done, (*events.receipts, receipt)


def _study_facts(done: Study) -> dict[str, Any]:
    events = done.synthetic["scalr"]
    return {"synthetic_events": len(events), "item_coverage": round(events.item_coverage(), 6)}


def _facts(command: str, steps: Steps, pair: Pair, inputs: Mapping[str, Any]) -> dict[str, Any]:
    settings = {**steps.model_dump(mode="json"), **inputs}
    return {
        "command": command,
        "seed": steps.seed,
        "settings": settings,
        "settings_hash": steps.digest(),
        "inputs": [dict(one) for one in pair.inputs],
        "warnings": list(pair.warnings),
    }
