"""Shuffle bytes per source event as blocks get smaller: `python -m benchmarks.shuffles`.

A task that reads the source writes a block for every part, and each block is compressed separately. Very large logs
have very many parts, so blocks have few events. This benchmark divides a log into more and more parts instead. Every
event gets its own item first, because otherwise a block would have fewer distinct items than in large logs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.logs import SIZES, cached_logs
from benchmarks.spark import shuffled

PARTS = (8, 100, 1_000, 10_000, 50_000)


def laid_out(source: Path, target: Path, parts: int) -> dict[str, int]:
    """Shuffle a source into a number of parts and return the bytes written and the number of blocks."""
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as f

    from scalr.engines.spark.cluster.layout import Layout, lay_out_parts
    from scalr.engines.spark.reading.logs import read_spark_logs
    from scalr.foundation.config import Steps
    from scalr.logs.log_request import LogRequest

    nobody: Any = None  # used only for items that are split
    with tempfile.TemporaryDirectory(prefix="scalr-shuffles-") as folder:
        settings = {
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": Path(folder).as_uri(),
            "spark.eventLog.compress": "false",
            "spark.driver.memory": "4g",
            "spark.ui.enabled": "false",
        }
        session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
        try:
            number = f.expr("lpad(pmod(xxhash64(user_id, item_id, timestamp), 100000000), 8, '0')")
            events = session.read.parquet(str(source)).withColumn("item_id", f.concat(f.lit("item_"), number))
            logs = read_spark_logs(LogRequest(events, str(target)), Steps())
            layout = Layout(parts, parts, -(-logs.rows // parts), ())
            lay_out_parts(logs.events, logs.form, layout, nobody, windowed=False).take(1)
            n_writers = logs.events.rdd.getNumPartitions()
        finally:
            session.stop()
        return {"parts": parts, "blocks": parts * n_writers, **shuffled(Path(folder))}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print one line of JSON per number of parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="A")
    parser.add_argument("--parts", type=int, nargs="+", default=PARTS)
    options = parser.parse_args(arguments)
    source, target = cached_logs(options.size, Path("benchmark-output") / "logs")
    for parts in options.parts:
        shuffle = laid_out(source, target, parts)
        events = SIZES[options.size].source_events
        per_event = {
            "events_per_block": events / shuffle["blocks"],
            "bytes_per_event": shuffle["shuffle_bytes"] / events,
        }
        print(json.dumps({**shuffle, **per_event}), flush=True)


if __name__ == "__main__":
    main()
