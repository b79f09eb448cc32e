"""Drives a job on a cluster; kills a worker in the middle of it if asked. A process of its own: see `test_cluster`."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from scalr.engines.spark.cluster.session import own_session
from scalr.foundation.config import Steps
from scalr.foundation.progress import SilentBoard
from scalr.logs.log_request import LogRequest
from scalr.runs.generating import write_generation_on_spark

SETTINGS = {
    "spark.executor.memory": "768m",
    "spark.executor.cores": "1",
    "spark.cores.max": "2",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "4",
    "spark.speculation": "true",
    "spark.executor.heartbeatInterval": "2s",
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
}
LEAST_TASKS = 8  # of the stage that writes


class Listener(SilentBoard):
    """Knows whether events are being written."""

    writing = False

    def stage(self, name: str, total: int | None = None, unit: str = "events") -> Any:
        self.writing = "writing" in name
        return super().stage(name, total, unit)


def kill_when_writing(session: Any, group: int, told: dict[str, Any], listener: Listener) -> None:
    """Kill a process group once a quarter of the tasks that write, one per part, is done."""
    tracker = session.sparkContext.statusTracker()
    while "over" not in told:
        stages = [tracker.getStageInfo(number) for number in tracker.getActiveStageIds()] if listener.writing else []
        for stage in stages:
            if stage is not None and LEAST_TASKS <= stage.numTasks <= 4 * stage.numCompletedTasks:
                os.killpg(group, signal.SIGKILL)
                told["killed"] = {"completed": stage.numCompletedTasks, "tasks": stage.numTasks}
                return
        time.sleep(0.02)


def main(master: str, folder: str, partitions: str, settings: str, victim: str = "") -> None:
    """Generate, and print what happened as one line of JSON."""
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    at, told, listener = Path(folder), dict[str, Any](), Listener()
    request = LogRequest(str(at / "source.parquet"), str(at / "target.parquet"))
    with own_session(master, SETTINGS) as session:
        if victim:
            given = (session, int(victim), told, listener)
            watcher = threading.Thread(target=kill_when_writing, args=given, daemon=True)
            watcher.start()
        manifest = write_generation_on_spark(
            session, request, Steps.parse(json.loads(settings)), at / "out", settings={}, partitions=int(partitions),
            board=listener,
        )  # fmt: skip
        told["over"] = True
    told["manifest"] = manifest
    print(json.dumps(told, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
