"""Rows, seconds and memory of a stage."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_STATUS = Path("/proc/self/status")  # Linux only


@dataclass(frozen=True, slots=True)
class Receipt:
    """Rows and seconds of one stage.

    Attributes:
        stage: Name of the stage, as in `manifest.json`.
        rows_in: Input rows.
        rows_out: Output rows.
        wall_seconds: Elapsed time.
        cpu_seconds: Processor time of this process, all threads.
        details: Further figures of the stage, ready for JSON.
    """

    stage: str
    rows_in: int
    rows_out: int
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)

    def renamed(self, stage: str) -> Receipt:
        """Return the same receipt under another stage name."""
        return replace(self, stage=stage)

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the stage in the manifest."""
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "wall_seconds": round(self.wall_seconds, 4),
            "cpu_seconds": round(self.cpu_seconds, 4),
            **self.details,
        }


class Stopwatch:
    """Time a block: `with Stopwatch() as watch: ...; watch.receipt("sample", n, m)`."""

    def __enter__(self) -> Self:
        self._wall = time.perf_counter()
        self._cpu = time.process_time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wall_seconds = time.perf_counter() - self._wall
        self.cpu_seconds = time.process_time() - self._cpu

    def receipt(self, stage: str, rows_in: int, rows_out: int, **details: Any) -> Receipt:
        """Return the receipt of the timed block; call it after the block."""
        return Receipt(stage, rows_in, rows_out, self.wall_seconds, self.cpu_seconds, details)


def peak_rss_bytes() -> int:
    """Return the peak resident memory of this process, in bytes.

    Linux counts the memory of the parent process in `ru_maxrss` (it was shared until this program started), but not in
    `VmHWM`.
    """
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
