"""The job of `scalr study`: a study or sweeps, a report and a manifest in a new folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scalr.foundation import Steps
from scalr.runs.execution import Execution
from scalr.runs.job import Job, carry_out
from scalr.runs.local import LoadedLogs
from scalr.runs.records import StudyKind


def write_study(
    logs: LoadedLogs,
    kind: StudyKind,
    steps: Steps,
    out: Path,
    *,
    inputs: Mapping[str, Any],
    notes: tuple[str, ...] = (),
    execution: Execution | None = None,
) -> dict[str, Any]:
    """Study logs; write `study.json` or `sweeps.json`, `report.html` and `manifest.json` into a new folder.

    Args:
        logs: The logs.
        kind: `EVENT_STUDY`, `IMPRESSION_STUDY`, or a sweep of settings (`sweep_study`), which adds a figure per sweep.
        steps: Settings of every step.
        out: The folder.
        inputs: Settings of reading, for the manifest.
        notes: Sentences to read before any number in the report.
        execution: Threads, trials and progress.

    Returns:
        The content of `study.json` or `sweeps.json`.

    Raises:
        ConfigError: If there is no sweep of that name.
        InputError: If the logs do not suit the kind of study.
        OutputError: If `out` cannot become the output.
    """
    job = Job("study", steps, logs, kind, reading=inputs, notes=notes)
    return carry_out(job, out, execution or Execution()).content
