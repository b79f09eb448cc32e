"""The whole job of studying a log of impressions: study, write everything down."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scalr import output
from scalr.config import Steps
from scalr.conversions import conversion_study
from scalr.domain import Pair
from scalr.pipeline import job_facts, page_facts
from scalr.progress import Board, SilentBoard
from scalr.receipt import Receipt, Stopwatch
from scalr.report.conversions import write_conversions_page


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
        n_rows, coverage = (content[name].get("scalr", [0])[0] for name in ("synthetic_rows", "item_coverage"))
        receipt = watch.receipt("study", len(pair.source) + len(pair.target), n_rows, seeds=steps.study.seeds)
        output.write_json(folder / "study.json", content)
        facts = job_facts("study", done.steps, pair, {**inputs, "conversions_study": True})
        facts |= {"synthetic_events": n_rows, "item_coverage": round(coverage, 6)}
        board.stage("writing the report")
        write_conversions_page(folder / "report.html", content, **page_facts(pair, facts["settings"]))
        output.write_manifest(folder, (reading, receipt), facts)
    return content
