"""How a job is carried out, as opposed to what it computes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from scalr.foundation import Board, Checkpoints, SilentBoard


@dataclass(frozen=True, slots=True)
class Execution:
    """Resources of a job. Its results do not depend on them.

    Attributes:
        threads: Threads at a time; None for all cores.
        memory_limit: Upper bound on the memory of the process in bytes; None for most of the free memory.
        resume: Continue an interrupted run from its finished parts, seeds and trials. None keeps no checkpoints, so
            that an interrupted run leaves nothing.
        trials_file: File that keeps the outcomes of trials beyond the run; they are reused from there.
        board: Shows the progress.
    """

    threads: int | None = None
    memory_limit: int | None = None
    resume: bool | None = False
    trials_file: Path | None = None
    board: Board = field(default_factory=SilentBoard)

    @property
    def n_threads(self) -> int:
        """Return the number of threads, at least 1."""
        return self.threads or os.cpu_count() or 1


@dataclass(frozen=True, slots=True, eq=False)
class StudyResources:
    """Resources of a study inside a job.

    Attributes:
        threads: Threads at a time, at least 1.
        board: Shows the progress.
        trials_file: File that keeps the outcomes of trials; None keeps none.
        pieces: Checkpoints of finished parts of the study.
    """

    threads: int
    board: Board
    trials_file: Path | None
    pieces: Checkpoints
