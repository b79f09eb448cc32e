"""Jobs that are killed and repeated, and what it means that two outputs are the same."""

import hashlib
import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from scalr.output import check_outputs, read_manifest
from scalr.simulate import simulate

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


def started(job: Job, out: Path, *more: str, die_at: int = 0, **how) -> subprocess.Popen:
    """Start a job in a process of its own and return once it has loaded everything."""
    command = [sys.executable, str(RUNNER), str(die_at), *job.arguments, "--out", str(out), "--quiet", *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


def ran(job: Job, out: Path, *more: str, **how) -> tuple[float, int]:
    """Run a job undisturbed; return its seconds and file operations."""
    process = started(job, out, *more, **how)
    began = time.perf_counter()
    printed, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return time.perf_counter() - began, int(printed.split()[-1])


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
