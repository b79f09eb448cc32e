"""A real cluster on this machine: a master and two workers, one of which is killed in the middle of a job."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.engines.spark.worlds import in_order, local_events, skewed_tables
from tests.spark_session import WHY_NOT

import scalr
from scalr.foundation.config import Steps

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "runs")]

JOB = Path(__file__).with_name("cluster_job.py")
STEPS = {"seed": 5, "refine": {"align": {"by": ["popularity"]}}}
START_SECONDS = 90.0


@dataclass
class Cluster:
    """A master and its workers, each the leader of a process group."""

    url: str
    workers: list[subprocess.Popen[bytes]]

    def run(self, folder: Path, partitions: int, victim: int | None = None) -> dict[str, Any]:
        """Run a job, and return what it told."""
        arguments = [self.url, str(folder), str(partitions), json.dumps(STEPS)]
        arguments += [] if victim is None else [str(self.workers[victim].pid)]
        done = subprocess.run(
            [sys.executable, str(JOB), *arguments], check=False, capture_output=True, text=True, env=environment(),
            timeout=900,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.splitlines()[-1])


def environment() -> dict[str, str]:
    """Return the environment of processes that must find scalr and this machine's loopback.

    Their JVMs live for seconds: a second compiler, and threads that collect garbage, cost more than they save.
    """
    path = os.pathsep.join([str(Path(scalr.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    return {
        **os.environ, "PYTHONPATH": path, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m",
        "PYSPARK_PYTHON": sys.executable, "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }  # fmt: skip


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(file: Path, words: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has said so in its log."""
    end = time.monotonic() + START_SECONDS
    while words not in (file.read_text(errors="replace") if file.exists() else ""):
        assert process.poll() is None, file.read_text(errors="replace")[-2000:]
        assert time.monotonic() < end, f"not in {START_SECONDS} s: {words}"
        time.sleep(0.2)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Start a standalone cluster from the pip-installed pyspark."""
    import pyspark

    command = Path(pyspark.__file__).parent / "bin" / "spark-class"
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
        log = tmp_path / f"{name}.log"
        with log.open("wb") as out:
            started.append(
                subprocess.Popen(
                    [str(command), *arguments], stdout=out, stderr=out, env=environment(), start_new_session=True
                )
            )
        return started[-1], log

    port = free_port()
    package = "org.apache.spark.deploy"
    try:
        master, log = start(
            "master", f"{package}.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port",
            str(free_port()),
        )  # fmt: skip
        url = f"spark://127.0.0.1:{port}"
        wait_for(log, "New state: ALIVE", master)
        workers = []
        for name in ("one", "two"):
            worker, log = start(
                name, f"{package}.worker.Worker", url, "--cores", "1", "--memory", "1g", "--host", "127.0.0.1",
                "--webui-port", str(free_port()), "--work-dir", str(tmp_path / f"work-{name}"),
            )  # fmt: skip
            workers.append((worker, log))
        for worker, log in workers:
            wait_for(log, "Successfully registered with master", worker)
        yield Cluster(url, [worker for worker, _ in workers])
    finally:
        for one in started:
            if one.poll() is None:
                os.killpg(one.pid, signal.SIGKILL)
            one.wait()


def test_a_worker_that_is_killed_changes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    source, target = skewed_tables(events=(20_000, 3_000))
    wanted, name = local_events(source, target, Steps.parse(STEPS))
    pq.write_table(source, tmp_path / "source.parquet")
    pq.write_table(target, tmp_path / "target.parquet")
    told = cluster.run(tmp_path, partitions=12, victim=0)
    assert cluster.workers[0].poll() is not None or cluster.workers[0].wait(10) is not None
    assert told["killed"]["completed"] < told["killed"]["tasks"], "the worker was killed too late to matter"
    assert told["manifest"]["generation_id"] == name
    files = sorted((tmp_path / "out" / "synthetic").glob("part-*.parquet"))
    found = in_order(pq.read_table(tmp_path / "out" / "synthetic"))
    assert len(found) == len(wanted) == told["manifest"]["synthetic_events"]
    assert found.cast(wanted.schema).to_pydict() == wanted.to_pydict()
    assert len({file.name.split("-")[1] for file in files}) == len(files), "each task has committed once"
    stages = told["manifest"]["stages"]
    assert stages["sample"]["rows_out"] >= stages["align"]["rows_out"] == len(wanted)
