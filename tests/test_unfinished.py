"""Half-finished output: found again, locked, never mixed with another run's, and removed where it is worth nothing."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import scalr
from scalr.errors import InputError, OutputError
from scalr.unfinished import Plan, forget, partial_folder, unfinished

PLAN = Plan("generate", {"seed": 1, "sample": {"draws_per_event": 4}})
INPUTS = [{"role": "source", "name": "source", "digest": "d", "files": ["s.csv"]}]


def cut_off(out, error=None, plan=PLAN, resume=False):
    with unfinished(out, plan, resume=resume) as made:
        made.check_inputs(INPUTS)
        made.pieces.put("one", {"x": np.arange(3)})
        (made.folder / "synthetic").mkdir(exist_ok=True)
        (made.folder / "synthetic" / "part").write_text("x")
        (made.folder / "report.html").write_text("half")
        raise error or KeyboardInterrupt


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device"), MemoryError("no room")]
)
def test_a_run_cut_off_from_outside_is_kept_and_the_error_says_how_to_go_on(error, tmp_path):
    out = tmp_path / "run"
    with pytest.raises((KeyboardInterrupt, OutputError)) as caught:
        cut_off(out, error)
    assert "--resume" in str(caught.value)
    assert f"rm -r '{partial_folder(out)}'" in str(caught.value)
    assert os.listdir(tmp_path) == [".run.partial"]
    with unfinished(out, PLAN, resume=True) as made:
        made.check_inputs(INPUTS)
        assert made.pieces.get("one")["x"].tolist() == [0, 1, 2]
        assert os.listdir(made.folder) == ["synthetic"]  # all else is made again
    assert os.listdir(tmp_path) == ["run"]
    assert os.listdir(out / "synthetic") == ["part"]


@pytest.mark.parametrize("error", [InputError("a", expected="b", fix="c"), RuntimeError("a fault of ours")])
def test_a_run_that_failed_by_itself_leaves_nothing(error, tmp_path):
    with pytest.raises(type(error)):
        cut_off(tmp_path / "run", error)
    assert os.listdir(tmp_path) == []


def test_a_run_without_a_plan_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        cut_off(tmp_path / "run", plan=None)
    assert os.listdir(tmp_path) == []


def test_a_failing_resumption_keeps_what_was_there(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        cut_off(out)
    with pytest.raises(InputError):
        cut_off(out, InputError("a", expected="b", fix="c"), resume=True)
    with unfinished(out, PLAN, resume=True) as made:
        assert made.pieces.get("one") is not None


def refusal(out, plan=PLAN, inputs=INPUTS, resume=True):
    with pytest.raises(OutputError) as caught, unfinished(out, plan, resume=resume) as made:
        made.check_inputs(inputs)
    assert len(str(caught.value).splitlines()) == 3
    return str(caught.value)


def test_half_finished_output_is_never_mixed_with_another_run(tmp_path, monkeypatch):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        cut_off(out)
    pieces = partial_folder(out) / "pieces"
    before = {file.name: file.read_bytes() for file in pieces.iterdir()}
    assert "a half-finished run of 'scalr generate'" in refusal(out, resume=False)
    assert "a half-finished run of 'scalr generate'" in refusal(out, plan=None)
    other = Plan("generate", {"seed": 1, "sample": {"draws_per_event": 5}})
    assert "setting 'sample.draws_per_event' is 5, that of the half-finished run 4" in refusal(out, other)
    assert "setting 'more' is true, that of the half-finished run null" in refusal(
        out, Plan("generate", {**PLAN.settings, "more": True})
    )
    assert "command is 'run'" in refusal(out, Plan("run", PLAN.settings))
    assert "source 's.csv' is not what" in refusal(out, inputs=[{**INPUTS[0], "digest": "e"}])
    monkeypatch.setattr("scalr.unfinished.__version__", "9.9")
    assert f"version is '9.9', that of the half-finished run '{scalr.__version__}'" in refusal(out)
    monkeypatch.undo()
    assert {file.name: file.read_bytes() for file in pieces.iterdir()} == before
    with unfinished(out, PLAN, resume=True) as made:
        assert made.pieces.get("one") is not None


def test_only_one_run_at_a_time(tmp_path):
    out = tmp_path / "run"
    with unfinished(out, PLAN) as made:
        said = refusal(out)
        (made.folder / "a").write_text("x")
    assert f"another run (process {os.getpid()}) is writing '{out}'" in said
    assert os.listdir(out) == ["a"]


def test_the_lock_of_a_killed_process_holds_nobody_up(tmp_path):
    out = tmp_path / "run"
    code = f"""
import os, signal
from pathlib import Path
from scalr.unfinished import Plan, unfinished
with unfinished(Path({str(out)!r}), Plan("generate", {PLAN.settings!r})) as made:
    made.pieces.put("one", 1)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert "half-finished" in refusal(out, resume=False)
    with unfinished(out, PLAN, resume=True) as made:
        assert made.pieces.get("one") == 1
    assert os.listdir(tmp_path) == ["run"]


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    out = tmp_path / "run"
    partial_folder(out).mkdir()
    (partial_folder(out) / "thesis.txt").write_text("mine")
    for resume in (False, True):
        assert "holds 'thesis.txt', which scalr did not write" in refusal(out, resume=resume)
    assert (partial_folder(out) / "thesis.txt").read_text() == "mine"


def test_what_a_run_left_that_died_before_it_began_is_no_obstacle(tmp_path):
    out = tmp_path / "run"
    partial_folder(out).mkdir()
    for name in ("lock", "state.json.growing"):
        (partial_folder(out) / name).write_text("")
    (partial_folder(out) / "output").mkdir()
    (partial_folder(out) / "output" / "old").write_text("")
    with unfinished(out, PLAN) as made:
        assert os.listdir(made.folder) == []


def test_a_state_that_cannot_be_read_is_refused(tmp_path):
    out = tmp_path / "run"
    partial_folder(out).mkdir()
    for text in ("{", json.dumps({"schema": "other"}), "[]"):
        (partial_folder(out) / "state.json").write_text(text)
        assert "cannot be read" in refusal(out)


def test_what_a_process_left_after_its_output_appeared_is_forgotten(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        cut_off(out)
    forget(out)
    forget(out)
    assert os.listdir(tmp_path) == []
