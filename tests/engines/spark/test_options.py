"""Options of the command reach Spark's session, and what Spark does not start with is said in three lines."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.engines.spark.test_cluster import environment
from tests.spark_session import WHY_NOT
from tests.worlds import small_tables

from scalr.cli import main

needs_spark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "runs")


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    for name, log in zip(("source", "target"), small_tables(), strict=True):
        pq.write_table(log, tmp_path / f"{name}.parquet")
    logs = ["-s", str(tmp_path / "source.parquet"), "-t", str(tmp_path / "target.parquet")]
    return ["generate", *logs, "--out", str(tmp_path / "out"), "--engine", "spark"]


def command(arguments: list[str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own: a session is there once per process."""
    words = [sys.executable, "-m", "scalr", *arguments, *options]
    return subprocess.run(words, check=False, capture_output=True, text=True, env=environment(), timeout=900)


@pytest.mark.slow
@needs_spark
def test_master_and_settings_are_those_of_the_session(arguments: list[str], tmp_path: Path) -> None:
    setting = ["--spark-conf", "spark.default.parallelism=5", "--spark-conf", "spark.sql.shuffle.partitions=2"]
    done = command(arguments, "--spark-master", "local[1]", *setting, "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    manifest = json.loads(done.stdout)
    spark = manifest["settings"]["spark"]
    assert (spark["master"], spark["parallelism"]) == ("local[1]", 5)
    written = sum(pq.read_metadata(file).num_rows for file in (tmp_path / "out" / "synthetic").glob("part-*.parquet"))
    assert written == manifest["synthetic_events"] > 0


@pytest.mark.slow
@needs_spark
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--spark-master moon://here:1", "Spark did not start"),
        ("--spark-master local[1] --spark-conf spark.driver.memory=much", "Spark did not start"),
        ("--spark-master local[1] --spark-conf spark.task.cpus=none", "spark.task.cpus"),
    ],
)
def test_what_spark_does_not_start_with(arguments: list[str], tmp_path: Path, options: str, words: str) -> None:
    done = command(arguments, *options.split())
    assert done.returncode == 2
    said = done.stderr.splitlines()[-3:]
    assert words in said[0]
    assert "Spark did not start" in said[0]
    assert "check --spark-master and --spark-conf" in said[2]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@needs_spark
def test_without_starting_spark(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    @contextmanager
    def own_session(*given: Any) -> Iterator[Any]:
        seen.append(given)
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("scalr.engines.own_session", own_session)
    options = ["--spark-master", "yarn", "--spark-conf", "spark.a=1", "--spark-conf", "spark.b=x=y"]
    main([*arguments, *options])
    assert seen == [("yarn", {"spark.a": "1", "spark.b": "x=y"})]
