"""Compare scalr on Spark with a plain Spark implementation and the local engine: `python -m benchmarks.spark`.

Each way is a separate process on the same logs, with a master of `local[2]`. Processor time is that of all processes,
shuffle bytes are from Spark's event log. The memory of Spark's Python workers is sampled while they run (on Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.logs import SIZES, cached_logs
from benchmarks.measuring import HOUR, CommandError, DidNotFinishError, measure

WAYS = ("local", "spark", "natural")
"""The local engine, scalr on Spark, and a plain Spark implementation (`benchmarks.baselines.spark`)."""

LOOK_SECONDS = 0.1  # sampling interval


class WorkerMemory:
    """Samples the memory of Spark's Python workers below a process while they run: the largest peak of a worker.

    Args:
        below: Number of the process; None for this one.
    """

    def __init__(self, below: int | None = None) -> None:
        self.peak_bytes = 0
        self._below = str(below or os.getpid())
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> WorkerMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(LOOK_SECONDS):
            self.peak_bytes = max([self.peak_bytes, *(_peak_of(process) for process in _workers(self._below))])


def _workers(root: str) -> list[Path]:
    """Return the folders in `/proc` of the Python workers among a process's descendants."""
    parents, named = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[folder.name] = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            named[folder.name] = (folder / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
    workers = []
    for number, command in named.items():
        above = number
        while above in parents and above != root:
            above = parents[above]
        if b"pyspark.daemon" in command and above == root:
            workers.append(Path("/proc") / number)
    return workers


def _peak_of(process: Path) -> int:
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def command_of(way: str, source: Path, target: Path, out: Path, draws: int) -> list[str]:
    """Return the command of a way."""
    if way == "natural":
        ours = [sys.executable, "-m", "benchmarks.baselines", "spark", str(source), str(target), str(out)]
        return [*ours, "--draws", str(draws)]
    logs = ["--source", str(source), "--target", str(target), "--out", str(out), "--draws", str(draws)]
    engine = ["--engine", "spark", "--spark-master", "local[2]"] if way == "spark" else ["--threads", "2"]
    return [sys.executable, "-m", "scalr", "generate", *logs, "--align", "none", "--quiet", *engine]


def shuffled(folder: Path) -> dict[str, int]:
    """Return the shuffle bytes, shuffle rows and number of tasks in Spark's event log."""
    written, rows, tasks = 0, 0, 0
    for file in folder.rglob("*"):
        if not file.is_file():
            continue
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith('{"Event":"SparkListenerTaskEnd"'):
                metrics = (json.loads(line).get("Task Metrics") or {}).get("Shuffle Write Metrics") or {}
                written += int(metrics.get("Shuffle Bytes Written", 0))
                rows += int(metrics.get("Shuffle Records Written", 0))
                tasks += 1
    return {"shuffle_bytes": written, "shuffle_rows": rows, "tasks": tasks}


def measured(way: str, source: Path, target: Path, draws: int, limit_seconds: float) -> dict[str, Any]:
    """Run a way once, and return its resources."""
    with tempfile.TemporaryDirectory(prefix="scalr-spark-") as folder:
        log, conf = Path(folder) / "log", Path(folder) / "conf"
        log.mkdir()
        conf.mkdir()
        settings = {
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": log.as_uri(),
            "spark.eventLog.compress": "false",
            "spark.driver.memory": "8g",
            "spark.local.dir": f"{folder}/tmp",
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        (conf / "spark-defaults.conf").write_text(text, encoding="utf-8")
        os.environ["SPARK_CONF_DIR"] = str(conf)
        out = Path(folder) / "out"
        try:
            with WorkerMemory() as workers:
                run = measure(command_of(way, source, target, out, draws), limit_seconds)
        except (CommandError, DidNotFinishError) as error:
            return {"failed": str(error).strip().splitlines()[-1]}
        files = list(out.rglob("*.parquet"))
        sizes = {"worker_peak_bytes": workers.peak_bytes, "output_bytes": sum(file.stat().st_size for file in files)}
        return {**asdict(run), **shuffled(log), **sizes}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print one line of JSON per way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="A")
    parser.add_argument("--draws", type=int, default=10, help="target items per source event")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--limit", type=float, default=HOUR, help="time limit per way, in seconds")
    options = parser.parse_args(arguments)
    source, target = cached_logs(options.size, Path("benchmark-output") / "logs")
    for way in options.ways.split(","):
        figures = measured(way, source, target, options.draws, options.limit)
        load = os.getloadavg()[0]
        stamp = {"way": way, "size": options.size, "draws": options.draws, "load": round(load, 1)}
        print(json.dumps({**stamp, **figures, "at": time.strftime("%Y-%m-%d")}), flush=True)
    shutil.rmtree("spark-warehouse", ignore_errors=True)


if __name__ == "__main__":
    main()
