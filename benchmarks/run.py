"""Measure scalr, the machine and the ways without scalr on the same files: `python -m benchmarks.run --size A`.

Each measurement is a separate process, measured from outside. Processes alternate, and the median counts. A run of
scalr on tiny logs comes first and does not count: it fills the cache of compiled kernels, as the first run after an
installation does. Progress goes to stderr, tables to stdout, all figures into a JSON file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import baselines, floor, stages, tables
from benchmarks.logs import SIZES, cached_logs
from benchmarks.measuring import HOUR, CommandError, DidNotFinishError, Run, measure_answer, median

SCALR = {
    "scalr": ("target", 10),
    "scalr-1": ("target", 1),
    "scalr-compact": ("compact", 10),
    "scalr-compact-1": ("compact", 1),
}
"""Layout and draws per source event of every run of scalr."""

OURS = ("yardstick", "kernel", *SCALR, "floor", "kept")
PARTS = (*OURS, *baselines.NAMES)
_DEFAULTS = {
    "tiny": tuple(name for name in PARTS if name != "spark"),
    "A": PARTS,
    "B": (*OURS, "polars", "polars-codes", "duckdb-codes", "duckdb"),
    "H": tuple(name for name in OURS if name != "floor"),
    "C": tuple(name for name in OURS if name != "floor"),
}
_REPEATS = {"B": 1, "H": 1, "C": 1}
_LIMITS = {"tiny": 300.0, "A": 600.0, "B": 300.0}
_ONCE = {"spark"}  # slow
_VERSIONS = ("scalr-rec", "numpy", "numba", "pyarrow", "duckdb", "polars", "scipy", "sparse-dot-topn", "pyspark")


@dataclass(slots=True)
class Record:
    """Measurements so far, by name of the process."""

    limit_seconds: float = HOUR
    runs: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    failures: dict[str, str] = field(default_factory=dict)

    def take(self, name: str, command: Sequence[str], limit_seconds: float = HOUR) -> Run | None:
        """Run a command unless it failed before; store its resources and the JSON that it printed."""
        if name in self.failures:
            return None
        print(f"{time.strftime('%H:%M:%S')} {name} ...", end=" ", file=sys.stderr, flush=True)
        try:
            run, printed = measure_answer(command, limit_seconds)
        except DidNotFinishError as error:
            self.failures[name] = str(error)
        except CommandError as error:
            self.failures[name] = f"failed: {str(error).strip().splitlines()[-1]}"
        else:
            self.runs[name].append(run)
            answer = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
            self.answers[name].extend(answer[-1:])
            print(f"{run.cpu_seconds:.2f} CPU s, {run.wall_seconds:.2f} s, ", end="", file=sys.stderr)
            print(f"{run.peak_rss_bytes / 1e6:.0f} MB", file=sys.stderr, flush=True)
            return run
        print(self.failures[name], file=sys.stderr, flush=True)
        return None


def collect(size: str, parts: Sequence[str], repeats: int, draws: int, root: Path, limit: float) -> dict[str, Any]:
    """Measure the parts `repeats` times, alternating, and return all figures."""
    tiny, logs = (cached_logs(name, root / "logs") for name in ("tiny", size))
    record, idle = Record(), Record()
    for name in set(parts) & set(baselines.NAMES):
        if not baselines.installed(name):
            record.failures[name] = "not installed"
    with tempfile.TemporaryDirectory(prefix="work-", dir=root) as work:
        for place in range(2 if size != "tiny" and set(parts) & {*SCALR, "floor"} else 0):
            idle.take("scalr on tiny logs", stages.command(tiny, Path(work) / f"tiny-{place}", draws))
        for repeat in range(repeats):
            if set(parts) & {"yardstick", "kernel"}:
                _measure_memory(record, size, draws, parts)
            _measure_scalr(record, logs, draws, parts, Path(work))
            for name in parts:
                if name in baselines.NAMES and not (repeat and name in _ONCE):
                    _measure_baseline(record, name, logs, draws, Path(work), limit)
    figures = _facts(size, repeats, draws) | _summary(record)
    if idle.runs:
        figures["idle_rss_bytes"] = idle.runs["scalr on tiny logs"][-1].peak_rss_bytes
    return figures


def _measure_memory(record: Record, size: str, draws: int, parts: Sequence[str]) -> None:
    if "yardstick" in parts:
        mebibytes = 16 if size == "tiny" else 1024
        record.take("yardstick", [sys.executable, "-m", "benchmarks.yardstick", "--mebibytes", str(mebibytes)])
    if "kernel" in parts:
        record.take("kernel", [sys.executable, "-m", "benchmarks.kernel", "--size", size, "--draws", str(draws)])


def _measure_scalr(record: Record, logs: tuple[Path, Path], draws: int, parts: Sequence[str], work: Path) -> None:
    files = [str(file) for file in logs]
    for name, (layout, most) in SCALR.items():
        if name not in parts and not (name == "scalr" and "floor" in parts):
            continue
        out = work / name
        run = record.take(name, stages.command(logs, out, min(draws, most), layout))
        if run:
            record.answers[f"stages of {name}"].append(stages.cpu_by_stage(out, run.cpu_seconds))
            record.answers[f"events of {name}"].append(stages.synthetic_events(out))
            if name == "scalr" and "floor" in parts:
                _measure_floor(record, files, out / "synthetic")
        shutil.rmtree(out, ignore_errors=True)
    if "kept" in parts and not record.answers["kept"]:
        record.take("kept", [sys.executable, "-m", "benchmarks.stages", *files])


def _measure_floor(record: Record, files: list[str], written: Path) -> None:
    """Read and write in all ways the first time, and only in the fastest way afterwards."""
    for what, ways, places in (("read", floor.READERS, files), ("write", floor.WRITERS, [str(written)])):
        names = {f"{what} {way}": way for way in ways}
        known = [name for name in names if record.answers[name]]
        if known:
            names = {name: names[name] for name in [min(known, key=lambda name: _least(record.answers[name]))]}
        for name, way in names.items():
            record.take(name, [sys.executable, "-m", "benchmarks.floor", what, way, *places])


def _least(answers: Sequence[dict[str, float]]) -> float:
    return min(answer["cpu_seconds"] for answer in answers)


def _measure_baseline(record: Record, name: str, logs: tuple[Path, Path], draws: int, work: Path, limit: float) -> None:
    out = work / name
    files = [str(file) for file in (*logs, out)]
    record.take(name, [sys.executable, "-m", "benchmarks.baselines", name, *files, "--draws", str(draws)], limit)
    for left in work.glob(f"{name}*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def _summary(record: Record) -> dict[str, Any]:
    """Return medians and all runs."""
    answers = {name: values for name, values in record.answers.items() if values}
    summary: dict[str, Any] = {
        "processes": {
            name: {"median": asdict(median(runs)), "runs": [asdict(run) for run in runs]}
            for name, runs in record.runs.items()
            if name in (*SCALR, *baselines.NAMES)
        },
        "failures": record.failures,
        "stages": {name: medians(answers[f"stages of {name}"]) for name in SCALR if f"stages of {name}" in answers},
        "synthetic_events": {name: answers[f"events of {name}"][0] for name in SCALR if f"events of {name}" in answers},
        "answers": answers,
    }
    for name in ("yardstick", "kernel"):
        if name in answers:
            summary[name] = medians(answers[name])
    if "kept" in answers:
        summary |= answers["kept"][0]
    ways = {
        what: {name.split()[1]: medians(values) for name, values in answers.items() if name.startswith(f"{what} ")}
        for what in ("read", "write")
    }
    if all(ways.values()):
        fastest = {what: min(way, key=lambda name: float(way[name]["cpu_seconds"])) for what, way in ways.items()}
        least = sum(way[fastest[what]]["cpu_seconds"] for what, way in ways.items())
        summary["floor"] = {**ways, "fastest": fastest, "cpu_seconds": least}
    return summary


def medians(answers: Sequence[Any]) -> Any:
    """Return the median of every number in answers of one shape."""
    if isinstance(answers[0], dict):
        return {key: medians([answer[key] for answer in answers]) for key in answers[0]}
    return statistics.median(answers)


def _facts(size: str, repeats: int, draws: int) -> dict[str, Any]:
    """Return the options of the benchmark, the machine and the versions."""
    return {
        "schema": "scalr.benchmark/2",
        "size": size,
        "events": asdict(SIZES[size]),
        "draws": draws,
        "repeats": repeats,
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "python": platform.python_version(),
        },
        "versions": {name: _version(name) for name in _VERSIONS},
    }


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def main() -> None:
    """Measure the parts on the command line; print the tables and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="A")
    parser.add_argument("--repeats", type=int, help="default 3 at A and 1 above; Spark runs once")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="default: all parts with a reasonable run time")
    parser.add_argument("--draws", type=int, default=10, help="per source event")
    parser.add_argument("--limit", type=float, help="seconds that a baseline may take; default 600, for B 300")
    parser.add_argument("--out", type=Path, help="JSON file; default benchmark-output/SIZE.json")
    options = parser.parse_args()
    size = options.size
    out = options.out or Path("benchmark-output") / f"{size}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    parts = options.only or _DEFAULTS[size]
    repeats = options.repeats or _REPEATS.get(size, 3)
    limit = options.limit or _LIMITS.get(size, HOUR)
    figures = collect(size, parts, repeats, options.draws, Path("benchmark-output"), limit)
    out.write_text(json.dumps(figures, indent=2) + "\n")
    others = {name: out.with_name(f"{name}.json") for name in SIZES if name != size}
    sizes = {name: json.loads(file.read_text()) for name, file in others.items() if file.exists()} | {size: figures}
    print(tables.everything(figures, sizes))
    print(f"\nwritten to {out}")


if __name__ == "__main__":
    main()
