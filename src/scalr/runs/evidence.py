"""The kinds of study that a job can hold: of events, of impressions, and sweeps of settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scalr.foundation import Steps, Stopwatch
from scalr.report import contents_of, standalone, write_conversions_page, write_report, write_sweeps_page
from scalr.runs.execution import StudyResources
from scalr.runs.records import EVENTS_PAGE, REPORT, Evidence, Page, Record, StudyKind, StudySample
from scalr.runs.requests import page_facts
from scalr.studies import Journal, Study, arms_of, conversion_study, study, sweep
from scalr.synthesis import facts_of, resting_on_few


def study_events(sample: StudySample, steps: Steps, resources: StudyResources) -> Evidence:
    """Study logs of events."""
    n_arms, journal = len(arms_of(steps)), Journal(resources.trials_file)
    with Stopwatch() as watch:
        done = study(
            sample.pair, steps, threads=resources.threads, board=resources.board, journal=journal,
            pieces=resources.pieces,
        )  # fmt: skip
    events = done.synthetic["scalr"]
    receipt = watch.receipt("study", _rows(sample), len(events), seeds=steps.study.seeds, arms=n_arms)
    facts = {
        "synthetic_events": len(events),
        "item_coverage": round(events.item_coverage(), 6),
        "privacy": resting_on_few(facts_of(events), done.steps.translate.privacy),
    }
    record = Record(steps, sample.pair, facts, (*sample.receipts, *events.receipts))
    chosen = steps.model_copy(update={name: getattr(done.steps, name) for name in Steps.model_fields})
    return Evidence(record, sample, chosen, receipt, done.to_json(), partial(_write_page, done))


EVENT_STUDY = StudyKind(study_events)
"""A study of logs of events."""


def _write_page(done: Study, folder: Path, page: Page) -> None:
    generated = page.generated
    shown = contents_of(
        done,
        whole=None if generated is None else generated.events,
        receipts=() if generated is None else generated.record.receipts,
        settings=page.settings,
        title=page.title,
        notes=page.notes,
        leaks=None if generated is None else generated.leaks,
    )
    write_report(folder / REPORT, shown)


def study_impressions(sample: StudySample, steps: Steps, resources: StudyResources) -> Evidence:
    """Study a target log of impressions, or take the finished study from a checkpoint."""
    with Stopwatch() as watch:
        finished = resources.pieces.get("conversions")
        if finished is None:
            done = conversion_study(sample.pair, steps, threads=resources.threads, board=resources.board)
            finished = {"content": done.to_json(), "translator": done.steps.translate.translator}
            resources.pieces.put("conversions", finished)
    content = finished["content"]
    chosen = steps.changed({"translate.translator": finished["translator"]})
    n_rows = content["synthetic_rows"].get("scalr", [0])[0]
    receipt = watch.receipt("study", _rows(sample), n_rows, seeds=steps.study.seeds)
    coverage = round(float(content["item_coverage"].get("scalr", [0])[0]), 6)
    record = Record(
        chosen, sample.pair, {"synthetic_events": receipt.rows_out, "item_coverage": coverage}, sample.receipts,
        {"conversions_study": True},
    )  # fmt: skip
    return Evidence(record, sample, chosen, receipt, content, partial(_write_impression_pages, content))


IMPRESSION_STUDY = StudyKind(study_impressions)
"""A study of a target log of impressions."""


def _write_impression_pages(content: Mapping[str, Any], folder: Path, page: Page) -> None:
    """Write the page of the study, and a page of the generated events beside it."""
    page.write_events(folder / EVENTS_PAGE)
    facts = page_facts(page.pair, page.settings)
    write_conversions_page(folder / REPORT, content, **facts | ({"title": page.title} if page.title else {}))


def sweep_study(names: Sequence[str]) -> StudyKind:
    """Return the kind of study that changes one setting at a time; see `scalr.studies.sweep`."""
    return StudyKind(partial(study_sweeps, names), "sweeps.json")


def study_sweeps(names: Sequence[str], sample: StudySample, steps: Steps, resources: StudyResources) -> Evidence:
    """Sweep settings.

    Raises:
        ConfigError: If no sweep has one of these names.
    """
    with Stopwatch() as watch:
        journal = Journal(resources.trials_file)
        done = sweep(sample.pair, steps, names, threads=resources.threads, board=resources.board, journal=journal)
    base, content = done.base[0], done.to_json()
    receipt = watch.receipt("sweeps", _rows(sample), base.events, seeds=steps.study.seeds)
    facts = {"synthetic_events": base.events, "item_coverage": round(base.item_coverage, 6)}
    record = Record(steps, sample.pair, facts, sample.receipts, {"sweep": list(done.points)})
    return Evidence(record, sample, steps, receipt, content, partial(_write_sweep_pages, content))


def _write_sweep_pages(content: Mapping[str, Any], folder: Path, page: Page) -> None:
    """Write the page, and each of its figures as a file."""
    figures = write_sweeps_page(folder / REPORT, content, **page_facts(page.pair, page.settings))
    for name, figure in figures.items():
        (folder / f"sweep-{name}.svg").write_text(standalone(figure), encoding="utf-8")


def _rows(sample: StudySample) -> int:
    return len(sample.pair.source) + len(sample.pair.target)
