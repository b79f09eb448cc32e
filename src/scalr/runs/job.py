"""The one skeleton of all jobs: open a folder, study, generate, describe. Engine and kind of study plug in."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from scalr.foundation import Steps
from scalr.logs import Pair, StoredPair, refuse_changed_inputs
from scalr.runs.execution import Execution, StudyResources
from scalr.runs.manifest import write_json, write_manifest
from scalr.runs.records import REPORT, Evidence, Generated, Page, Record, StudyKind, StudySample
from scalr.runs.requests import job_facts


class JobFolder(Protocol):
    """The folder that a job fills, with the logs that an engine has opened for it."""

    @property
    def folder(self) -> Path:
        """Return the folder of all files but the manifest."""

    @property
    def resources(self) -> StudyResources:
        """Return the resources of a study."""

    def sample(self) -> StudySample:
        """Return the logs for a study."""

    def generate(self, steps: Steps) -> Generated | None:
        """Write synthetic events of the whole logs into `folder`; None where the job is a study alone."""

    def manifest_place(self) -> tuple[Path, Path | None]:
        """Return the folder that the manifest describes, and its file; None for `manifest.json` in that folder."""


class Engine(Protocol):
    """Reads logs and writes synthetic events: on this machine, or on Spark."""

    def open(self, job: Job, out: Path, execution: Execution) -> AbstractContextManager[JobFolder]:
        """Open the folder of a job, which becomes the output when the block ends without an error.

        Raises:
            InputError: If a log or a setting cannot be used.
            OutputError: If `out` cannot become the output.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What a job computes.

    Attributes:
        command: The command, as the manifest names it.
        steps: Settings of every step.
        engine: Reads the logs and writes synthetic events.
        study: The kind of study; None to generate only.
        content_file: Name of the file with the content of the study; None for that of the kind.
        reading: Settings of reading, for the manifest.
        request: All settings as requested, enough to repeat the job; empty where it cannot be repeated from them.
        title: Title of the report; None names the domains.
        notes: Sentences to read before any number in the report.
    """

    command: str
    steps: Steps
    engine: Engine
    study: StudyKind | None = None
    content_file: str | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    title: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class FinishedJob:
    """A job whose output is complete.

    Attributes:
        manifest: The manifest.
        pair: The logs.
        content: Content of the study; empty without a study.
    """

    manifest: dict[str, Any]
    pair: Pair | StoredPair
    content: dict[str, Any]


def carry_out(job: Job, out: Path, execution: Execution) -> FinishedJob:
    """Study and generate, as far as a job asks for it; write the content of the study, a report and the manifest.

    Raises:
        InputError: If a log or a setting cannot be used.
        OutputError: If `out` cannot become the output, or a half-finished output is in the way.
    """
    with job.engine.open(job, out, execution) as work:
        evidence = None if job.study is None else job.study.study(work.sample(), job.steps, work.resources)
        generated = work.generate(job.steps if evidence is None else evidence.chosen)
        record = _record_of(generated, evidence)
        facts = job_facts(job.command, record.steps, record.pair, {**job.reading, **record.settings}, job.request)
        facts |= record.facts
        receipts, notes = record.receipts, job.notes
        if evidence is not None and job.study is not None:
            write_json(work.folder / (job.content_file or job.study.file), evidence.content)
            facts |= evidence.sample.facts
            receipts, notes = (*receipts, evidence.receipt), (*notes, *evidence.sample.notes)
        _write_pages(
            work.folder, Page(record.pair, facts["settings"], job.title, notes, generated), evidence, execution
        )
        if isinstance(record.pair, StoredPair):
            refuse_changed_inputs(record.pair)
        described, file = work.manifest_place()
        digests = {} if generated is None else generated.digests
        manifest = write_manifest(described, receipts, facts, digests, file)
    return FinishedJob(manifest, record.pair, {} if evidence is None else evidence.content)


def _record_of(generated: Generated | None, evidence: Evidence | None) -> Record:
    """Return the record of the events of the whole logs, or of those of a study that is the whole job."""
    done = generated or evidence
    assert done is not None, "a job studies, generates, or does both"
    return done.record


def _write_pages(folder: Path, page: Page, evidence: Evidence | None, execution: Execution) -> None:
    """Write the pages of a study, or of generated events where the engine collects what a page needs."""
    if evidence is None and (page.generated is None or page.generated.events is None):
        return
    execution.board.stage("writing the report")
    if evidence is None:
        page.write_events(folder / REPORT)
    else:
        evidence.write_pages(folder, page)
