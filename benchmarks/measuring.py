"""Measure time, processor time and memory of a command from outside, including all processes that it starts."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HOUR = 3600.0
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes per unit of ru_maxrss


@dataclass(frozen=True, slots=True)
class Run:
    """Resources that one command used.

    Attributes:
        wall_seconds: Elapsed time until the command ended.
        cpu_seconds: Processor time, user and system, of all threads and of all processes that it started.
        peak_rss_bytes: Largest resident memory of any of these processes.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int


class CommandError(RuntimeError):
    """A command failed; the message includes its stderr."""


class DidNotFinishError(RuntimeError):
    """A command was stopped at its time limit."""


# As the "subreaper" the watcher becomes the parent of processes whose parent ended without waiting for them, such as
# Spark's JVM. Otherwise no process would account for them. Only Linux has subreapers.
_WATCH = """
import ctypes, json, os, resource, signal, subprocess, sys, time
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG: stop when the caller ends
late = False
start = time.perf_counter()
process = subprocess.Popen(sys.argv[3:], process_group=0)

def stop(*_):
    global late
    late = True
    kill()

def kill():
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass

signal.signal(signal.SIGALRM, stop)
signal.signal(signal.SIGTERM, stop)
signal.setitimer(signal.ITIMER_REAL, float(sys.argv[2]))
try:
    _, status = os.waitpid(process.pid, 0)
    wall = time.perf_counter() - start
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
except KeyboardInterrupt:
    kill()
    raise
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    code = os.waitstatus_to_exitcode(status)
    json.dump([late, code, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss], file)
"""


def measure(command: Sequence[str], limit_seconds: float = HOUR) -> Run:
    """Run a command to its end and return its resources; see `measure_answer`."""
    return measure_answer(command, limit_seconds)[0]


def measure_answer(command: Sequence[str], limit_seconds: float = HOUR) -> tuple[Run, str]:
    """Run a command to its end and return its resources and its stdout.

    A small process starts and watches it, because on Linux the peak memory of a process starts from that of its parent.

    Raises:
        CommandError: If the command fails.
        DidNotFinishError: If it takes longer than the limit; it and all processes that it started are killed.
    """
    with tempfile.TemporaryDirectory(prefix="scalr-measuring-") as folder:
        figures = Path(folder) / "figures.json"
        watcher = [sys.executable, "-I", "-S", "-c", _WATCH, str(figures), str(limit_seconds), *command]
        done = subprocess.run(watcher, capture_output=True, text=True, check=False)
        if not figures.exists():
            raise CommandError(f"{' '.join(command)}\n{done.stderr}")
        late, code, wall_seconds, cpu_seconds, peak = json.loads(figures.read_text())
    if late:
        raise DidNotFinishError(f"did not finish in {limit_seconds:g} s")
    if code != 0:
        raise CommandError(f"{' '.join(command)}\nexit code {code}\n{done.stderr}")
    return Run(wall_seconds, cpu_seconds, peak * _RSS_UNIT), done.stdout


def median(runs: Sequence[Run]) -> Run:
    """Return the median of each figure."""
    return Run(
        statistics.median(run.wall_seconds for run in runs),
        statistics.median(run.cpu_seconds for run in runs),
        int(statistics.median(run.peak_rss_bytes for run in runs)),
    )
