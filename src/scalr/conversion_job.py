"""Whole jobs of logs of impressions: study; generate and study. `run` takes these or those of events."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scalr import output, pipeline
from scalr.config import RunSettings, Steps
from scalr.conversions import conversion_study
from scalr.domain import Pair
from scalr.job import begun_run, job_facts, judges_impressions, page_facts
from scalr.leaks import check_written
from scalr.pieces import Pieces
from scalr.progress import Board, SilentBoard
from scalr.reading import refuse_changed_inputs
from scalr.receipt import Receipt, Stopwatch
from scalr.report import write_report
from scalr.report.contents import contents_of
from scalr.report.conversions import write_conversions_page

EVENTS_PAGE = "events.html"


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
    with output.finished_folder(out) as folder:
        with Stopwatch() as watch:
            done = conversion_study(pair, steps, threads=threads or os.cpu_count() or 1, board=board)
        content = done.to_json()
        receipt = _receipt(pair, steps, content, watch)
        output.write_json(folder / "study.json", content)
        facts = job_facts("study", done.steps, pair, {**inputs, "conversions_study": True})
        facts |= {"synthetic_events": receipt.rows_out, "item_coverage": _coverage(content)}
        board.stage("writing the report")
        write_conversions_page(folder / "report.html", content, **page_facts(pair, facts["settings"]))
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

    A log of impressions (`judged_by`) is studied as `scalr study --conversions` does; then `report.html` is about that
    study and `events.html` about the synthetic events. All other logs are `scalr.pipeline.run`'s.

    Args:
        settings: The logs and every step.
        out: New or empty folder.
        threads: Parts and fits at a time; all cores if None.
        memory_limit: Bytes to stay within while events are made; most of what is free if None.
        trials_file: Outcomes of a study of events, kept beyond the run.
        notes: Sentences to read before any number, on the page of synthetic events or of a study of events.
        board: Where progress is shown.
        title: What the run is about.
        resume: Go on from what a run that was cut off has finished; None keeps nothing of one. See `scalr.unfinished`.

    Returns:
        The manifest, with the study under "evaluation".

    Raises:
        InputError: If a log, a setting or the folder cannot be used.
    """
    if not judges_impressions(settings):
        return pipeline.run(
            settings, out, threads=threads, memory_limit=memory_limit, trials_file=trials_file, notes=notes,
            board=board, title=title, resume=resume,
        )  # fmt: skip
    board = board or SilentBoard()
    with begun_run(settings, out, threads, memory_limit, resume, board) as begun:
        made, room, stored, reading = begun.made, begun.room, begun.stored, begun.reading
        folder, pair = made.folder, stored.load()
        content, translator, receipt = _studied(pair, settings, threads, board, made.pieces)
        settings = settings.changed({"translate.translator": translator})
        written = pipeline.write_events(stored, settings, made, settings.layout, room, board)
        output.write_json(folder / "evaluation.json", content)
        facts = job_facts("run", settings, stored, {}, begun.asked) | pipeline.event_facts(written, stored)
        room.clear()
        found, digests = check_written(settings.leaks, settings.target, stored.target.columns, written.digests, board)
        facts |= {"leaks": found} if found else {}
        board.stage("writing the report")
        receipts = (reading, *written.receipts)
        page = page_facts(pair, facts["settings"])
        page["title"] = title or page["title"]
        shown = contents_of(
            written.facts, pair=stored, receipts=receipts, settings=facts["settings"], title=page["title"], notes=notes,
            leaks=found,
        )  # fmt: skip
        write_report(folder / EVENTS_PAGE, shown)
        write_conversions_page(folder / "report.html", content, **page)
        refuse_changed_inputs(stored)
        manifest = output.write_manifest(folder, (*receipts, receipt), facts, digests)
    return {**manifest, "evaluation": content}


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
