"""The examples run, and are short."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
NEEDS = {"torch_loop": "torch", "implicit_als": "implicit", "lightgbm_weights": "lightgbm", "hugging_face": "datasets"}


SLOW = [file if file.stem == "data_frames" else pytest.param(file, marks=pytest.mark.slow) for file in EXAMPLES]


@pytest.mark.parametrize("file", SLOW, ids=lambda file: file.stem)
def test_the_example_runs(file, tmp_path):
    if file.stem in NEEDS:
        pytest.importorskip(NEEDS[file.stem], reason="needs an optional library: make test-extras")
    own = {"TMPDIR": str(tmp_path), "HF_HOME": str(tmp_path / "hf"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(file)], check=False, capture_output=True, text=True, env=os.environ | own, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_examples_are_short_and_all_known():
    lengths = {file.stem: len(file.read_text().splitlines()) for file in EXAMPLES}
    assert {name: n for name, n in lengths.items() if n >= 40} == {}
    assert set(NEEDS) < set(lengths)
