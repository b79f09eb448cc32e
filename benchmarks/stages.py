"""What `scalr generate` spends its processor time on, and how much its translation keeps in memory.

`python -m benchmarks.stages SOURCE TARGET` reads and fits, and prints the bytes that the translation holds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.domain import Pair

_SCALR = (sys.executable, "-c", "import sys; from scalr.cli import main; sys.exit(main())")


def command(logs: tuple[Path, Path], out: Path, draws: int, layout: str = "target") -> list[str]:
    """Return the command by which scalr generates from the logs, on all cores."""
    options = {"--source": logs[0], "--target": logs[1], "--out": out, "--draws": draws, "--layout": layout}
    texts = [str(part) for option in options.items() for part in option]
    return [*_SCALR, "generate", *texts, "--seed", "1", "--threads", str(os.cpu_count() or 1), "--quiet"]


def cpu_by_stage(out: Path, cpu_seconds: float) -> dict[str, float]:
    """Return the processor seconds of every stage in the manifest of a finished run.

    What no stage has is under "other": start, imports, the report, the end.
    """
    stages = json.loads((out / "manifest.json").read_text())["stages"]
    seconds = {name: float(stage["cpu_seconds"]) for name, stage in stages.items()}
    return {**seconds, "other": round(cpu_seconds - sum(seconds.values()), 4)}


def synthetic_events(out: Path) -> int:
    """Return how many events a finished run wrote."""
    return int(json.loads((out / "manifest.json").read_text())["synthetic_events"])


def held_bytes(value: Any, seen: set[int] | None = None) -> int:
    """Return the bytes of all arrays that a value reaches, each once; the logs themselves (`Pair`) are left out."""
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, Pair):
        return 0
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        return held_bytes(value.base, seen) if isinstance(value.base, np.ndarray) else value.nbytes
    if isinstance(value, pa.Array | pa.ChunkedArray | pa.Table):
        return int(value.get_total_buffer_size())
    if isinstance(value, Mapping):
        return sum(held_bytes(part, seen) for part in value.values())
    if isinstance(value, tuple | list):
        return sum(held_bytes(part, seen) for part in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return sum(held_bytes(getattr(value, field.name), seen) for field in dataclasses.fields(value))
    return 0


def main() -> None:
    """Print what a translation of the logs keeps, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    import scalr

    translation = scalr.fit(scalr.read_pair(options.source, options.target))
    print(json.dumps({"translation_bytes": held_bytes(translation)}))


if __name__ == "__main__":
    main()
