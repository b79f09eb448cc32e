"""Time `scalr generate` against DuckDB SQL and Polars on the same files: `python -m benchmarks.generate --size A`.

Every run is a fresh process, from files to files: wall time, processor time of all threads and peak resident memory
are what the kernel reports for it. Runs take turns and the median counts. One run of each on tiny logs comes first and
does not count: it fills scalr's cache of compiled kernels, as the first run after an installation does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

CONTESTANTS = ("scalr", "duckdb", "polars")
_SCALR = (sys.executable, "-c", "import sys; from scalr.cli import main; sys.exit(main())")
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes per unit of ru_maxrss


@dataclass(frozen=True, slots=True)
class Run:
    """What one process took.

    Attributes:
        wall_seconds: Elapsed time.
        cpu_seconds: Processor time, user and system, all threads.
        peak_rss_bytes: Largest resident memory.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int


_WATCH = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
wall = time.perf_counter() - start
with open(sys.argv[1], "w") as file:
    json.dump([os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss], file)
"""


def measure(command: Sequence[str]) -> Run:
    """Run a command to its end and return what it took.

    A small process starts and watches it, since on Linux the peak memory of a process starts from that of its parent.

    Raises:
        RuntimeError: If the command fails; what it wrote to stderr is the message.
    """
    with tempfile.NamedTemporaryFile("r") as figures:
        watcher = [sys.executable, "-I", "-S", "-c", _WATCH, figures.name, *command]
        done = subprocess.run(watcher, stderr=subprocess.PIPE, text=True, check=False)
        code, wall_seconds, cpu_seconds, peak = json.load(figures) if done.returncode == 0 else (1, 0, 0, 0)
    if code != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return Run(wall_seconds, cpu_seconds, peak * _RSS_UNIT)


def command_of(contestant: str, logs: Path, out: Path) -> list[str]:
    """Return the command by which a contestant turns the logs into one draw per source event, written to `out`."""
    source, target = str(logs / "source.parquet"), str(logs / "target.parquet")
    if contestant == "scalr":
        options = ["--draws", "1", "--seed", "1", "--layout", "compact", "--quiet"]
        return [*_SCALR, "generate", "--source", source, "--target", target, "--out", str(out), *options]
    return [sys.executable, "-m", "benchmarks.baselines", contestant, source, target, str(out)]


def compare(size: str, contestants: Sequence[str], repeats: int, folder: Path) -> dict[str, list[Run]]:
    """Run every contestant `repeats` times on logs of the size, taking turns, in an empty folder."""
    for name in ("tiny", size):
        measure([sys.executable, "-m", "benchmarks.logs", name, str(folder / name)])
    for contestant in contestants:
        measure(command_of(contestant, folder / "tiny", folder / f"{contestant}-first"))
    runs: dict[str, list[Run]] = {contestant: [] for contestant in contestants}
    for repeat in range(repeats):
        for contestant in contestants:
            runs[contestant].append(measure(command_of(contestant, folder / size, folder / f"{contestant}-{repeat}")))
    return runs


def median(runs: Sequence[Run]) -> Run:
    """Return the median of each figure."""
    return Run(
        statistics.median(run.wall_seconds for run in runs),
        statistics.median(run.cpu_seconds for run in runs),
        int(statistics.median(run.peak_rss_bytes for run in runs)),
    )


def table(medians: dict[str, Run]) -> str:
    """Return the medians as text; the ratios are to the first contestant."""
    first = next(iter(medians.values()))
    lines = [f"{'':10}{'wall s':>9}{'CPU s':>9}{'peak MiB':>10}{'wall ratio':>12}{'CPU ratio':>11}"]
    for name, run in medians.items():
        figures = f"{run.wall_seconds:9.2f}{run.cpu_seconds:9.2f}{run.peak_rss_bytes / 2**20:10.0f}"
        ratios = f"{run.wall_seconds / first.wall_seconds:12.1f}{run.cpu_seconds / first.cpu_seconds:11.1f}"
        lines.append(f"{name:10}{figures}{ratios}")
    return "\n".join(lines)


def to_json(size: str, runs: dict[str, list[Run]]) -> dict[str, Any]:
    """Return everything that was measured, with the machine and the versions it was measured on."""
    return {
        "schema": "scalr.benchmark/1",
        "benchmark": "generate",
        "size": size,
        "machine": {"system": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()},
        "versions": {name: metadata.version(name) for name in ("duckdb", "polars", "numba", "pyarrow")},
        "median": {name: asdict(median(of_one)) for name, of_one in runs.items()},
        "runs": {name: [asdict(run) for run in of_one] for name, of_one in runs.items()},
    }


def main() -> None:
    """Run the comparison that the command line asks for; print the table and write the JSON."""
    parser = argparse.ArgumentParser(description="Time stage one of scalr against DuckDB SQL and Polars.")
    parser.add_argument("--size", choices=("tiny", "A", "B"), default="A")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scalr-benchmark-") as folder:
        runs = compare(options.size, options.only, options.repeats, Path(folder))
    print(f"size {options.size}, one draw per source event, median of {options.repeats}, {os.cpu_count()} cores")
    print(table({name: median(of_one) for name, of_one in runs.items()}))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(to_json(options.size, runs), indent=2) + "\n")
        print(f"written to {options.out}")


if __name__ == "__main__":
    main()
