"""Full disk, read-only folder, no memory, changed input, two runs: three lines, exit 2, nothing half-written."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.reliability.jobs import Job, contents

import scalr.report.drawing
from scalr.cli import main
from scalr.logs.stored import StoredLog
from scalr.runs import evidence, records
from scalr.synthesis.tables import PartWriter

pytestmark = pytest.mark.trust


@pytest.fixture
def tell(capsys, monkeypatch):
    """Run the command without charts; return its exit code and lines on stderr."""
    monkeypatch.setattr(scalr.report.drawing, "charts_available", lambda: False)

    def run(job: Job, out, *more) -> tuple[int, list[str]]:
        capsys.readouterr()
        code = main([*job.arguments, "--out", str(out), "--quiet", *map(str, more)])
        return code, capsys.readouterr().err.splitlines()

    return run


def test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_room(jobs, tell, tmp_path, monkeypatch):
    written, job = [], jobs["generate"]
    assert tell(job, tmp_path / "whole") == (0, [])
    close = PartWriter.close

    def full(self) -> None:
        close(self)
        written.append(self.file)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.file))

    monkeypatch.setattr(PartWriter, "close", full)
    code, said = tell(job, tmp_path / "run")
    assert written
    assert (code, len(said)) == (2, 3)
    assert "no space left on device" in said[0]
    assert "--resume" in said[2]
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(PartWriter, "close", close)
    assert tell(job, tmp_path / "run", "--resume") == (0, [])
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.fixture
def mounted(tmp_path):
    """Mount a small file system with some options; skip where that is not allowed."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a small file system takes root")
        return disk

    yield mount
    if disk.is_mount():
        subprocess.run(["umount", str(disk)], check=True)


def test_a_real_full_disk(jobs, tell, mounted):
    disk = mounted("size=128k")
    code, said = tell(jobs["generate"], disk / "run")
    assert (code, len(said)) == (2, 3), said
    assert "no space left on device" in said[0]
    assert not (disk / "run").exists()


def test_a_read_only_file_system_is_refused_before_any_work(jobs, tell, mounted):
    disk = mounted("ro")
    code, said = tell(jobs["generate"], disk / "run")
    assert (code, len(said)) == (2, 3), said
    assert "cannot be written" in said[0]
    assert os.listdir(disk) == []


def test_too_little_memory_is_named(jobs, tell, tmp_path, monkeypatch):
    def greedy(*_, **__):
        raise MemoryError("Unable to allocate 8.00 TiB for an array")

    monkeypatch.setattr("scalr.engines.local.writing.fit", greedy)
    code, said = tell(jobs["generate"], tmp_path / "run")
    assert (code, len(said)) == (2, 3), said
    assert "not enough memory: Unable to allocate 8.00 TiB" in said[0]
    assert os.listdir(tmp_path) == []


def test_a_limit_that_the_logs_alone_break_is_named(jobs, tell, tmp_path, monkeypatch):
    monkeypatch.setattr("scalr.foundation.memory.peak_rss_bytes", lambda: 700 << 20)
    code, said = tell(jobs["generate"], tmp_path / "run", "--memory-limit", "600MB")
    assert (code, len(said)) == (2, 3), said
    assert "the memory limit is 600 MB, but reading the logs took 700 MB" in said[0]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("command", "change"),
    [("generate", "other content"), ("generate", "gone"), ("generate", "touched"), ("run", "other content")],
)
def test_an_input_that_changes_during_the_run(command, change, jobs, tell, tmp_path, monkeypatch):
    """It changes after the logs were read and before the output is finished; a touched one is the same still."""
    target, write = Path(jobs["generate"].arguments[4]), records.write_report
    whole = target.read_bytes()

    def meanwhile(*arguments, **named) -> None:
        write(*arguments, **named)
        target.unlink()
        if change != "gone":
            target.write_bytes(whole if change == "touched" else whole + b" ")

    for module in (records, evidence):
        monkeypatch.setattr(module, "write_report", meanwhile)
    try:
        code, said = tell(jobs[command], tmp_path / "run")
    finally:
        target.write_bytes(whole)
    if change == "touched":
        assert (code, said) == (0, [])
        return
    assert (code, len(said)) == (2, 3), said
    assert "target.parquet' changed during the run" in said[0]
    assert os.listdir(tmp_path) == []


def test_an_input_that_changes_while_it_is_read(jobs, tell, tmp_path, monkeypatch):
    target, count_events = Path(jobs["generate"].arguments[4]), StoredLog.count_events
    whole = target.read_bytes()

    def meanwhile(self):
        target.write_bytes(whole + b" ")
        return count_events(self)

    monkeypatch.setattr(StoredLog, "count_events", meanwhile)
    try:
        code, said = tell(jobs["generate"], tmp_path / "run")
    finally:
        target.write_bytes(whole)
    assert (code, len(said)) == (2, 3), said
    assert "target.parquet' changed while it was read" in said[0]
    assert os.listdir(tmp_path) == []
