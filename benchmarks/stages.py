"""Processor time of `scalr generate` per stage, and the memory of its translation.

`python -m benchmarks.stages SOURCE TARGET` reads and fits, and prints the bytes of the logs that sampling needs: the
packed source events and the target histories by user, without ids and the target log, which only writing needs.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

_SCALR = (sys.executable, "-m", "scalr")


def command(logs: tuple[Path, Path], out: Path, draws: int, layout: str = "target") -> list[str]:
    """Return the command that generates from the logs on all cores."""
    options = {"--source": logs[0], "--target": logs[1], "--out": out, "--draws": draws, "--layout": layout}
    texts = [str(part) for option in options.items() for part in option]
    return [*_SCALR, "generate", *texts, "--seed", "1", "--threads", str(os.cpu_count() or 1), "--quiet"]


def cpu_by_stage(out: Path, cpu_seconds: float) -> dict[str, float]:
    """Return the processor seconds of every stage in the manifest of a finished run.

    The rest is under "other": start, imports, the report, the end.
    """
    stages = json.loads((out / "manifest.json").read_text())["stages"]
    seconds = {name: float(stage["cpu_seconds"]) for name, stage in stages.items()}
    return {**seconds, "other": round(cpu_seconds - sum(seconds.values()), 4)}


def synthetic_events(out: Path) -> int:
    """Return the number of events that a finished run wrote."""
    return int(json.loads((out / "manifest.json").read_text())["synthetic_events"])


def array_bytes(value: Any) -> int:
    """Return the total bytes of the arrays of a dataclass."""
    columns = (getattr(value, field.name) for field in dataclasses.fields(value))
    return sum(column.nbytes for column in columns if isinstance(column, np.ndarray))


def main() -> None:
    """Print the memory of the logs during sampling, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    from scalr.foundation.generation_settings import TranslateSettings
    from scalr.logs.log_request import LogRequest
    from scalr.logs.reading import read_logs
    from scalr.synthesis.translators.cooccurrence import fit_cooccurrence

    stored = read_logs(LogRequest(options.source, options.target))
    histories = array_bytes(fit_cooccurrence(stored, TranslateSettings()).target)
    print(json.dumps({"translation_bytes": stored.source.nbytes + histories}))


if __name__ == "__main__":
    main()
