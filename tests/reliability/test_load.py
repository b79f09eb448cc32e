"""Generation that goes on for long takes no more memory, files and temporary space than at its beginning."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.reliability.jobs import FIGURE, ROOT, make_logs

pytestmark = pytest.mark.trust

MOST_DRIFT = 24 << 20  # bytes of resident memory; what the allocator keeps differs by some MB between rounds


def test_nothing_grows(tmp_path, request, record_property):
    make_logs(tmp_path / "logs", n_users=600)
    (tmp_path / "work").mkdir()
    minutes = request.config.getoption("--soak-minutes")
    script, folders = Path(__file__).with_name("soak.py"), (tmp_path / "logs", tmp_path / "work")
    done = subprocess.run(
        [sys.executable, str(script), *map(str, folders), str(minutes)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path / "work"), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        timeout=60 * minutes + 900,
    )
    assert done.returncode == 0, done.stderr
    *rounds, end = map(json.loads, done.stdout.splitlines())
    settled = rounds[len(rounds) // 3 :]  # compiled loops and library caches fill in the first ones
    half = len(settled) // 2
    first, last = (np.array([one["rss"] for one in part]) for part in (settled[:half], settled[-half:]))
    drift = int(np.median(last) - np.median(first))
    record_property(FIGURE, ("soak", f"{rounds[-1]['runs']} generations in {end['seconds'] / 60:.1f} min"))
    record_property(FIGURE, ("  RSS after the rounds, first to last", f"{_mb(first[0])} to {_mb(last[-1])} MB"))
    record_property(FIGURE, ("  RSS drift (medians of halves); peak", f"{_mb(drift)} MB; {_mb(end['peak'])} MB"))
    record_property(FIGURE, ("  open files, first to last", f"{settled[0]['open']} to {settled[-1]['open']}"))
    record_property(FIGURE, ("  temporary files and bytes left", f"{rounds[-1]['files']}, {rounds[-1]['space']}"))
    assert drift < MOST_DRIFT
    assert max(one["open"] for one in settled) <= settled[0]["open"]
    assert {(one["files"], one["space"]) for one in rounds} == {(0, 0)}


def _mb(size: float) -> str:
    return f"{size / (1 << 20):.1f}"
