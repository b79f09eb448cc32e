"""Half-finished output: found again, locked, never mixed with another run's, and removed where it is worth nothing."""

import errno
import json
import os
import stat
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.worlds import small_tables

import scalr
from scalr.cli import main
from scalr.foundation.errors import InputError, OutputError
from scalr.runs.resuming import RunPlan, partial_folder, remove_leftovers, unfinished

PLAN = RunPlan("generate", {"seed": 1, "sample": {"draws_per_event": 4}})
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
    other = RunPlan("generate", {"seed": 1, "sample": {"draws_per_event": 5}})
    assert "setting 'sample.draws_per_event' is 5, that of the half-finished run 4" in refusal(out, other)
    assert "setting 'more' is true, that of the half-finished run null" in refusal(
        out, RunPlan("generate", {**PLAN.settings, "more": True})
    )
    assert "command is 'run'" in refusal(out, RunPlan("run", PLAN.settings))
    assert "source 's.csv' is not what" in refusal(out, inputs=[{**INPUTS[0], "digest": "e"}])
    monkeypatch.setattr("scalr.runs.resuming.__version__", "9.9")
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
from scalr.runs.resuming import RunPlan, unfinished
with unfinished(Path({str(out)!r}), RunPlan("generate", {PLAN.settings!r})) as made:
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
    remove_leftovers(out)
    remove_leftovers(out)
    assert os.listdir(tmp_path) == []


@pytest.fixture
def synced(monkeypatch):
    """What was forced to the disk, what of it before each renaming, and what a file or folder is called in both."""
    now, renamed = set(), {}
    fsync, replace = os.fsync, os.replace

    def key(status):
        return status.st_dev, status.st_ino, None if stat.S_ISDIR(status.st_mode) else status.st_size

    def watched_fsync(opened):
        now.add(key(os.fstat(opened)))
        fsync(opened)

    def watched_replace(old, new):
        renamed[str(new)] = set(now)
        replace(old, new)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    return now, renamed, key


@pytest.mark.parametrize("plan", [PLAN, None], ids=["resumable", "not resumable"])
def test_all_of_an_output_is_on_the_disk_before_it_appears(plan, tmp_path, synced):
    now, renamed, key = synced
    out = tmp_path / "run"
    with unfinished(out, plan) as made:
        (made.folder / "a" / "b").mkdir(parents=True)
        (made.folder / "a" / "b" / "part").write_text("x" * 1000)
        (made.folder / "manifest.json").write_text("{}")
        assert str(out) not in renamed
    assert {key(path.stat()) for path in (out, *out.rglob("*"))} <= renamed[str(out)]
    assert key(tmp_path.stat()) in now - renamed[str(out)]


def test_every_file_that_commands_write_is_on_the_disk_before_it_appears(tmp_path, synced):
    _, renamed, key = synced
    logs = []
    for name, table in zip(("source", "target"), small_tables(), strict=True):
        pq.write_table(table, tmp_path / f"{name}.parquet")
        logs += [f"--{name}", str(tmp_path / f"{name}.parquet")]
    assert main(["generate", *logs, "--out", str(tmp_path / "run"), "--quiet"]) == 0
    assert main(["export", str(tmp_path / "run"), "--to", "pandas", "--out", str(tmp_path / "export")]) == 0
    for out in (tmp_path / "run", tmp_path / "export"):
        files = [path for path in out.rglob("*") if path.is_file()]
        assert {key(path.stat()) for path in (out, *files)} <= renamed[str(out)]
        assert len(files) > 1


def finishes(out):
    with unfinished(out, PLAN) as made:
        made.pieces.put("one", {"x": np.arange(3)})
        (made.folder / "file").write_text("x")


def test_output_that_the_disk_does_not_take_does_not_appear(tmp_path, monkeypatch):
    def fails(opened):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OutputError, match="cannot be written: input/output error"):
        finishes(tmp_path / "run")
    assert os.listdir(tmp_path) == [".run.partial"]


def test_a_folder_that_cannot_be_forced_to_the_disk_is_no_failure(tmp_path, monkeypatch):
    fsync = os.fsync

    def only_files(opened):
        if stat.S_ISDIR(os.fstat(opened).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(opened)

    monkeypatch.setattr(os, "fsync", only_files)
    finishes(tmp_path / "run")
    assert os.listdir(tmp_path) == ["run"]
