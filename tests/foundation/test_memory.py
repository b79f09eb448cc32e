"""Exports and negatives larger than memory: what they take at most does not grow with the synthetic rows.

Each runs in a process of its own, which does a small job first, so that code and buffers are there, then a large one,
and prints how far its peak memory has grown between them.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scalr.cli import main
from scalr.logs.simulation import simulate

pytestmark = pytest.mark.slow

PEAK = """
import resource, sys
from pathlib import Path
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
"""
EXPORT = (
    PEAK
    + """
from scalr.adapters import export, to_torch
small, large, to, out = sys.argv[1:]
def work(run):
    if to == "torch":
        return sum(len(batch["user"]) for batch in to_torch(run, batch_size=1 << 14))
    return export(run, to, Path(out) / Path(run).name)["rows"]
work(small)
before = peak()
rows = work(large)
print(rows, peak() - before)
"""
)
NEGATIVES = (
    PEAK
    + """
from scalr.engines.local import writing as generation
from scalr.foundation.config import Steps
from scalr.foundation.memory import use_lean_allocator
from scalr.logs.log_request import LogRequest
from scalr.logs.reading import read_logs
use_lean_allocator()
source, target, out = sys.argv[1:]
stored = read_logs(LogRequest(source, target))
def work(most):
    steps = Steps.parse({"refine": {"align": None}, "negatives": {"kind": "rate", "per_positive": most}})
    folder = Path(out) / str(most)
    folder.mkdir()
    return generation.write_events(stored, steps, folder).negatives
work(1)
before = peak()
rows = work(None)
print(rows, peak() - before)
"""
)
EVENTS = {"a": 500_000, "b": 2_500_000, "c": 5_000_000, "d": 12_000_000}  # synthetic events of each run


def grown(script: str, *words: object) -> tuple[int, int]:
    """Return rows of the large job, and the bytes by which peak memory grew."""
    done = subprocess.run([sys.executable, "-c", script, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows, size = done.stdout.split()
    return int(rows), int(size)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Return runs with many synthetic events of few users and items, and the bytes of an event in memory."""
    folder = tmp_path_factory.mktemp("runs")
    world = simulate(n_users=80, n_source_items=40, n_target_items=24, events_per_user=(12.0, 5.0), seed=1)
    for name in ("source", "target"):
        pq.write_table(getattr(world, name), folder / f"{name}.parquet")
    logs = [word for name in ("source", "target") for word in (f"--{name}", str(folder / f"{name}.parquet"))]
    assert main(["generate", *logs, "--out", str(folder / "run"), "--quiet"]) == 0
    (part,) = (folder / "run" / "synthetic").iterdir()
    events = pq.read_table(part)
    group = events.take(pa.array(np.arange(1 << 17) % len(events)))
    for name, rows in EVENTS.items():
        (folder / name / "synthetic").mkdir(parents=True)
        shutil.copy(folder / "run" / "manifest.json", folder / name)
        with pq.ParquetWriter(folder / name / "synthetic" / part.name, group.schema) as writer:
            for _ in range(-(-rows // len(group))):
                writer.write_table(group)
    return folder, group.nbytes // len(group)


@pytest.mark.parametrize(  # the smaller run fills every buffer; a row of libsvm has four negatives beside it
    ("to", "small", "large"),
    [("arrow", "a", "c"), ("recbole", "a", "c"), ("libsvm", "a", "b"), ("implicit", "c", "d"), ("torch", "a", "c")],
)
def test_exports_stream_synthetic_events(
    to: str, small: str, large: str, runs: tuple[Path, int], tmp_path: Path
) -> None:
    if to == "torch":
        pytest.importorskip("torch", reason="needs the extra 'torch'")
    if to == "implicit":
        pytest.importorskip("scipy", reason="needs the extra 'adapters'")
    folder, width = runs
    rows, size = grown(EXPORT, folder / small, folder / large, to, tmp_path)
    assert rows > 0
    assert size < (EVENTS[large] - EVENTS[small]) * width / 4


def test_negatives_are_made_as_they_are_written(tmp_path: Path) -> None:
    random, users, items = np.random.default_rng(0), 500, 60
    source, target = 150_000, 60_000
    for name, rows, first in (("source", source, 0), ("target", target, 1000)):
        columns = {
            "user": random.integers(0, users, rows),
            "item": random.integers(first, first + items, rows),
            "time": random.integers(1_600_000_000, 1_603_000_000, rows),
        }
        if name == "target":
            columns["label"] = (random.random(rows) < 0.02).astype(np.int8)
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    rows, size = grown(NEGATIVES, tmp_path / "source.parquet", tmp_path / "target.parquet", tmp_path)
    assert rows > 4_000_000
    width = sum(np.dtype(kind).itemsize for kind in ("i8", "i4", "i4", "i4", "f4", "i4", "f4", "i1"))  # of codes alone
    assert size < rows * width / 4
