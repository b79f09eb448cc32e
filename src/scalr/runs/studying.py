"""The job of `scalr study`: a study or sweeps, a report and a manifest in a new folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scalr.foundation import Board, Pieces, Receipt, RunSettings, SilentBoard, Steps, Stopwatch
from scalr.logs import Pair
from scalr.report import contents_of, standalone, write_conversions_page, write_report, write_sweeps_page
from scalr.runs.folders import finished_folder
from scalr.runs.manifest import write_json, write_manifest
from scalr.runs.requests import job_facts, page_facts
from scalr.studies import Journal, Study, arms_of, conversion_study, study, sweep
from scalr.synthesis import facts_of, resting_on_few


def write_conversions(
    pair: Pair,
    steps: Steps,
    out: Path,
    *,
    inputs: Mapping[str, Any],
    reading: Receipt,
    threads: int | None = None,
    board: Board | None = None,
) -> dict[str, Any]:
    """Study a log of impressions; write `study.json`, `report.html` and `manifest.json` into a new folder.

    Returns:
        The content of `study.json`.

    Raises:
        InputError: If the target log is no log of impressions.
        OutputError: If `out` cannot become the output.
    """
    board = board or SilentBoard()
    with finished_folder(out) as folder:
        with Stopwatch() as watch:
            done = conversion_study(pair, steps, threads=threads or os.cpu_count() or 1, board=board)
        content = done.to_json()
        receipt = _receipt(pair, steps, content, watch)
        write_json(folder / "study.json", content)
        facts = job_facts("study", done.steps, pair, {**inputs, "conversions_study": True})
        facts |= {"synthetic_events": receipt.rows_out, "item_coverage": _coverage(content)}
        board.stage("writing the report")
        write_conversions_page(folder / "report.html", content, **page_facts(pair, facts["settings"]))
        write_manifest(folder, (reading, receipt), facts)
    return content


def _studied(
    pair: Pair, steps: Steps, threads: int | None, board: Board, pieces: Pieces
) -> tuple[dict[str, Any], str, Receipt]:
    """Study, or take the study that is finished already; return its content, its translator and its receipt."""
    with Stopwatch() as watch:
        kept = pieces.get("conversions")
        if kept is None:
            done = conversion_study(pair, steps, threads=threads or os.cpu_count() or 1, board=board)
            kept = {"content": done.to_json(), "translator": done.steps.translate.translator}
            pieces.put("conversions", kept)
    return kept["content"], kept["translator"], _receipt(pair, steps, kept["content"], watch)


def _receipt(pair: Pair, steps: Steps, content: Mapping[str, Any], watch: Stopwatch) -> Receipt:
    n_rows = content["synthetic_rows"].get("scalr", [0])[0]
    return watch.receipt("study", len(pair.source) + len(pair.target), n_rows, seeds=steps.study.seeds)


def _coverage(content: Mapping[str, Any]) -> float:
    return round(float(content["item_coverage"].get("scalr", [0])[0]), 6)


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
    with finished_folder(out) as folder:
        done, receipts = timed_study(pair, steps, threads, board, trials_file)
        content = done.to_json()
        write_json(folder / "study.json", content)
        facts = job_facts("study", steps, pair, inputs) | _study_facts(done)
        board.stage("writing the report")
        write_report(folder / "report.html", contents_of(done, settings=facts["settings"], notes=notes))
        write_manifest(folder, (reading, *receipts), facts)
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
    with finished_folder(out) as folder:
        with Stopwatch() as watch:
            done = sweep(
                pair, steps, names, threads=threads or os.cpu_count() or 1, board=board, journal=Journal(trials_file)
            )
        base = done.base[0]
        receipt = watch.receipt("sweeps", len(pair.source) + len(pair.target), base.events, seeds=steps.study.seeds)
        content = done.to_json()
        write_json(folder / "sweeps.json", content)
        facts = job_facts("study", steps, pair, {**inputs, "sweep": list(done.points)})
        facts |= {"synthetic_events": base.events, "item_coverage": round(base.item_coverage, 6)}
        board.stage("writing the report")
        figures = write_sweeps_page(folder / "report.html", content, **page_facts(pair, facts["settings"]))
        for name, figure in figures.items():
            (folder / f"sweep-{name}.svg").write_text(standalone(figure), encoding="utf-8")
        write_manifest(folder, (reading, receipt), facts)
    return content


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
