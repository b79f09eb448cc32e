"""Jobs that are killed and repeated, and what it means that two outputs are the same."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from scalr.logs.simulation import simulate
from scalr.runs.manifest import check_outputs, read_manifest

RUNNER = Path(__file__).with_name("runner.py")
ROOT = RUNNER.parents[2]
FIGURE = "reliability"
"""Under which name a test reports figures: (what, value in words)."""

_SECONDS = re.compile(r"\d[\d.,]*[  ]?(?:ms|s|min|h)\b|<td>\d[\d.,]*</td>")
_TIMED = {"wall_seconds", "cpu_seconds", "created_at", "peak_rss_bytes"}

GENERATE = ["--duplicates", "merge", "--align", "value,popularity", "--draws", "3"]
STUDY = {
    "study": {"seeds": 2, "arms": ["scalr", "top1", "item_knn"], "baseline_trials": 4, "choosing_seeds": 2,
              "rival_trials": 1},
    "train": {"max_epochs": 3, "dimensions": 4},
    "refine": {"duplicates": "best", "align": {"by": ["popularity"]}},
    "sample": {"draws_per_event": 2},
}  # fmt: skip


@dataclass(frozen=True)
class Job:
    name: str
    arguments: tuple[str, ...]


def make_logs(folder: Path, n_users: int = 150) -> None:
    world = simulate(n_users=n_users, n_source_items=40, n_target_items=30, seed=1)
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(world.source, folder / "source.parquet")
    pq.write_table(world.target, folder / "target.parquet")


def make_jobs(folder: Path) -> dict[str, Job]:
    """Write logs and a configuration; return a job per command and layout."""
    make_logs(folder)
    settings = {"source": "source.parquet", "target": "target.parquet", **STUDY}
    (folder / "run.yaml").write_text(yaml.safe_dump(settings))
    logs = ("--source", str(folder / "source.parquet"), "--target", str(folder / "target.parquet"))
    jobs = (
        Job("generate", ("generate", *logs, *GENERATE)),
        Job("generate, compact", ("generate", *logs, *GENERATE, "--layout", "compact")),
        Job("run", ("run", str(folder / "run.yaml"))),
    )
    return {job.name: job for job in jobs}


@dataclass(frozen=True)
class Ended:
    """How a job ended: its exit status (negative for a signal), seconds, file operations, what it said on stderr."""

    status: int
    seconds: float
    operations: int
    said: str


class Runner:
    """A process that has loaded scalr and runs jobs in forks of itself; see `runner.py`.

    `how` is what `subprocess.Popen` takes: environment, working directory.
    """

    def __init__(self, **how) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(RUNNER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **how
        )

    def run(
        self, job: Job, out: Path, *more: str, die_at: int = 0, after: float | None = None, nothing_fits: bool = False
    ) -> Ended:
        """Run a job; kill it before a file operation, or after so many seconds; let it put its events into files."""
        arguments = [*job.arguments, "--out", str(out), "--quiet", *more]
        wanted = {"arguments": arguments, "die_at": die_at, "nothing_fits": nothing_fits}
        print(json.dumps(wanted), file=self._process.stdin, flush=True)
        child, began = int(self._process.stdout.readline()), time.perf_counter()
        if after is not None:
            time.sleep(after)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        ended = json.loads(self._process.stdout.readline())
        return Ended(ended["status"], time.perf_counter() - began, ended["operations"], ended["said"])

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def contents(out: Path) -> dict[str, str]:
    """Return what two runs must have in common: every file, by name, as SHA-256.

    Whole, but for times in the report, and in the manifest: times, memory, the report's digest and size.
    """
    found = {}
    for file in sorted(path for path in out.rglob("*") if path.is_file()):
        data = file.read_bytes()
        if file.name == "report.html":
            data = _SECONDS.sub("", data.decode()).encode()
        if file.name == "manifest.json":
            data = json.dumps(_untimed(json.loads(data)), sort_keys=True).encode()
        found[file.relative_to(out).as_posix()] = hashlib.sha256(data).hexdigest()
    return found


def _untimed(value):
    if isinstance(value, dict):
        if value.get("file") == "report.html":
            return {"file": "report.html"}
        return {name: _untimed(one) for name, one in value.items() if name not in _TIMED}
    return [_untimed(one) for one in value] if isinstance(value, list) else value


def is_whole(out: Path) -> bool:
    """Say whether an output is finished, and every file in it what its manifest says."""
    return check_outputs(out, read_manifest(out)) == []
