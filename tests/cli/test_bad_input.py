"""Wrong input: three lines, exit 2, nothing written, nothing changed."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def column(name, values):
    """Return a change that puts `values(n)` into a column."""

    def change(table):
        made = pa.array(values(len(table)))
        place = table.schema.get_field_index(name)
        return table.append_column(name, made) if place < 0 else table.set_column(place, name, made)

    return change


def first(value, rest):
    return lambda n: [value, *[rest] * (n - 1)]


TARGETS = {
    "empty log": (lambda table: table.slice(0, 0), "no rows"),
    "missing column": (lambda table: table.rename_columns(["usr", "item", "time", "value"]), "user"),
    "nulls in keys": (column("user", first(None, 1)), "1 null"),
    "text where numbers belong": (column("value", lambda n: ["much"] * n), "value"),
    "NaN weights": (column("weight", first(float("nan"), 1.0)), "weight"),
    "negative weights": (column("weight", first(-1.0, 1.0)), "weight"),
    "no overlap users": (column("user", lambda n: np.arange(n) + 10**6), "both"),
    "ids of different types": (column("user", lambda n: [f"u{x}" for x in range(n)]), "user"),
    "one class of labels": (column("label", lambda n: [1] * n), "label"),
    "labels beyond 0 and 1": (column("label", lambda n: [x % 3 for x in range(n)]), "label"),
    "synthetic rows": (column("is_synthetic", lambda n: [True] * n), "is_synthetic"),
    "all events at one instant": (column("time", lambda n: [1_600_000_000] * n), "period"),
}


def refused(result, word):
    code, out, err = result
    assert code == 2, err
    assert out == ""
    lines = err.strip().splitlines()
    assert len(lines) == 3, err
    assert lines[1].startswith("  expected: ")
    assert lines[2].startswith("  fix: ")
    assert word in lines[0], err


def tree(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("name", TARGETS)
def test_wrong_target_logs(scalr, logs, tmp_path, world, name):
    change, word = TARGETS[name]
    pq.write_table(change(world.target), tmp_path / "target.parquet")
    before = tree(tmp_path)
    refused(scalr("study", *logs, "--out", tmp_path / "run", "--seeds", 1), word)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--user", "usr"], "'usr'"),
        (["--draws", "0"], "draws_per_event"),
        (["--temperature", "nan"], "temperature"),
        (["--translator", "coocurrence"], "coocurrence"),
        (["--strategy", "best"], "strategy"),
        (["--align", "size"], "align"),
        (["--layout", "wide"], "layout"),
        (["--draws", "many"], "many"),
        (["--drawz", "1"], "drawz"),
        (["--threads", "0"], "threads"),
    ],
)
def test_wrong_options(scalr, logs, tmp_path, arguments, word):
    before = tree(tmp_path)
    refused(scalr("generate", *logs, "--out", tmp_path / "run", *arguments), word)
    assert tree(tmp_path) == before


def test_missing_and_empty_files(scalr, logs, tmp_path):
    (tmp_path / "empty.parquet").touch()
    before = tree(tmp_path)
    for name, word in (
        ("none.parquet", "none.parquet"),
        ("none*.csv", "none*.csv"),
        ("empty.parquet", "empty.parquet"),
    ):
        refused(scalr("generate", "--source", tmp_path / name, *logs[2:], "--out", tmp_path / "run"), word)
    assert tree(tmp_path) == before


def test_a_filled_output_folder_stays_as_it_is(scalr, logs, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    before = tree(tmp_path)
    for command in ("generate", "study"):
        refused(scalr(command, *logs, "--out", tmp_path / "run"), "not empty")
    assert tree(tmp_path) == before


@pytest.mark.skipif(
    os.geteuid() == 0, reason="root may write anywhere; tests/runs/test_folders.py plays the refusal back"
)
def test_an_unwritable_folder(scalr, logs, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    refused(scalr("generate", *logs, "--out", tmp_path / "locked" / "run"), "permission")


def test_an_unknown_setting_names_the_nearest(scalr, logs, tmp_path):
    scalr("init", tmp_path / "scalr.yaml", *logs)
    (tmp_path / "scalr.yaml").write_text(
        (tmp_path / "scalr.yaml").read_text().replace("draws_per_event", "draws_per_evnt")
    )
    result = scalr("run", tmp_path / "scalr.yaml", "--out", tmp_path / "run")
    refused(result, "draws_per_evnt")
    assert "did you mean 'sample.draws_per_event'" in result[2]


def test_ids_that_break_lines_cannot_break_the_three_lines(scalr, logs, tmp_path):
    refused(scalr("generate", *logs, "--out", tmp_path / "run", "--user", "a\nb"), "a b")


def test_sources_without_names_of_their_own(scalr, logs, tmp_path):
    refused(scalr("generate", *logs, *logs[:2], "--out", tmp_path / "run"), "no name of its own")


def test_inspect_wants_a_folder_or_logs(scalr, tmp_path):
    refused(scalr("inspect"), "neither")
    refused(scalr("inspect", tmp_path), "manifest")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--seed", "-1"], "seed"),
        (["--seed", str(2**63)], "seed"),
        (["--draws", str(10**11)], "draws_per_event"),
        (["--min-support", str(10**20)], "min_support"),
        (["--window-days", "1e300"], "window_days"),
        (["--backoff", "-1"], "backoff"),
        (["--backoff", "inf"], "backoff"),
        (["--source-columns", "user"], "'user'"),
        (["--target-columns", "usr=user"], "'usr'"),
        (["--out", "x" * 300], "too long"),
    ],
)
def test_values_out_of_range(scalr, logs, tmp_path, arguments, word):
    refused(scalr("generate", *logs, "--out", tmp_path / "run", *arguments), word)
    assert not (tmp_path / "run").exists()


def test_what_the_system_refuses_is_three_lines(scalr, logs, tmp_path, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied", "secret.parquet")

    monkeypatch.setattr("scalr.logs.reading.open_table", denied)
    refused(scalr("generate", *logs, "--out", tmp_path / "run"), "'secret.parquet' cannot be used: permission denied")


def test_too_little_memory_is_three_lines(scalr, logs, tmp_path, monkeypatch):
    def starved(*_, **__):
        raise MemoryError("Unable to allocate 6 TiB")

    monkeypatch.setattr("scalr.synthesis.translators.cooccurrence.layout.make_workspace", starved)
    refused(scalr("generate", *logs, "--out", tmp_path / "run"), "not enough memory")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("limit", "word"), [("much", "the memory limit is 'much'"), ("10MB", "the memory limit is '10MB', less than")]
)
def test_memory_limits_that_cannot_be_kept(scalr, logs, tmp_path, limit, word):
    refused(scalr("generate", *logs, "--out", tmp_path / "run", "--memory-limit", limit), word)
    assert not (tmp_path / "run").exists()


def test_logs_that_take_all_of_the_memory_limit(scalr, logs, tmp_path, monkeypatch):
    monkeypatch.setattr("scalr.foundation.memory.peak_rss_bytes", lambda: 3 << 30)
    before = tree(tmp_path)
    words = "the memory limit is 2.0 GB, but reading the logs took 3.0 GB"
    refused(scalr("generate", *logs, "--out", tmp_path / "run", "--memory-limit", "2GB"), words)
    assert tree(tmp_path) == before


def test_weights_that_are_all_zero(scalr, logs, tmp_path, world):
    pq.write_table(column("weight", lambda n: [0.0] * n)(world.source), tmp_path / "source.parquet")
    refused(scalr("generate", *logs, "--out", tmp_path / "run"), "nothing but zeros")


def test_logs_that_share_no_time(scalr, logs, tmp_path, world):
    early = column("time", lambda n: np.arange(n) + 500_000_000)(world.target)
    pq.write_table(early, tmp_path / "target.parquet")
    assert "share no time" in scalr("generate", *logs, "--out", tmp_path / "run")[2]
    refused(scalr("study", *logs, "--out", tmp_path / "study", "--seeds", 1), "no source event is before")


def test_shares_that_leave_nothing_to_fit(scalr, logs, tmp_path):
    refused(scalr("study", *logs, "--out", tmp_path / "run", "--test-share", 0.95), "split")


def test_a_folder_of_which_a_part_cannot_be_read(scalr, logs, tmp_path, monkeypatch):
    def walk(folder, onerror):
        onerror(PermissionError(13, "Permission denied", str(tmp_path / "logs" / "locked")))
        return []

    (tmp_path / "logs").mkdir()
    monkeypatch.setattr("scalr.logs.tables.files.os.walk", walk)
    refused(scalr("generate", "--source", tmp_path / "logs", *logs[2:], "--out", tmp_path / "run"), "locked")


def test_an_interrupted_command_says_so_and_what_it_keeps(scalr, logs, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("scalr.synthesis.tables.PartWriter.write", interrupt)
    code, out, err = scalr("generate", *logs, "--out", tmp_path / "run")
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted; no output was written"
    assert "--resume" in err
    assert not (tmp_path / "run").exists()
    (kept,) = tmp_path.glob(".run*")
    assert str(kept) in err


def test_columns_may_differ_by_log(scalr, logs, tmp_path, world):
    pq.write_table(world.source.rename_columns(["member", "sku", "at"]), tmp_path / "source.parquet")
    names = ["--source-columns", "user=member,item=sku,time=at"]
    assert scalr("generate", *logs, *names, "--out", tmp_path / "run", "--quiet")[0] == 0


def test_no_command_prints_the_help(scalr):
    code, out, err = scalr()
    assert (code, err) == (0, "")
    assert "generate" in out


def test_the_same_file_as_two_logs(scalr, logs, tmp_path):
    refused(scalr("generate", "--source", logs[1], "--target", logs[1], "--out", tmp_path / "run"), "same file")
    twice = ["--source", f"a={logs[1]}", "--source", f"b={logs[1]}", *logs[2:]]
    refused(scalr("generate", *twice, "--out", tmp_path / "run"), "'b' and 'a' are the same file")
