"""Logs for Spark, and the comparison with the local engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.engines.generation import generate_from
from scalr.engines.spark.cluster.types import spark_schema
from scalr.engines.spark.generation import SparkGeneration, generate_on_spark
from scalr.foundation.config import Steps
from scalr.foundation.receipts import Receipt
from scalr.logs.log_request import LogRequest
from scalr.logs.reading import read_logs

ORDER = ("source_domain", "source_item", "source_event", "draw", "label", "item")


def in_order(table: pa.Table) -> pa.Table:
    """Return events in an order that no engine decides."""
    return table.sort_by([(name, "ascending") for name in ORDER if name in table.column_names])


def as_spark(session: Any, given: Any) -> Any:
    """Return tables as Spark frames."""
    if isinstance(given, Mapping):
        return {name: as_spark(session, table) for name, table in given.items()}
    return session.createDataFrame(given)


def shuffled(given: Any, seed: int = 0) -> Any:
    """Return tables with their rows in another order."""
    if isinstance(given, Mapping):
        return {name: shuffled(table, seed) for name, table in given.items()}
    return given.take(pa.array(np.random.default_rng(seed).permutation(len(given))))


def events_of(generation: SparkGeneration) -> pa.Table:
    """Return the events of a frame, and let go of it."""
    events = generation.frame.toArrow()
    generation.release()
    return in_order(events)


def local_events(source: Any, target: Any, steps: Steps, **options: Any) -> tuple[pa.Table, str]:
    """Return the local engine's events in Spark's types, and their generation id."""
    stored = read_logs(LogRequest(source, target, item_columns=steps.negatives.kind != "none", **options))
    made = generate_from(stored, steps, Receipt("read", 0, 0))
    table = made.table()
    return in_order(table.cast(spark_schema(table.schema)[0])), made.generation_id


def assert_same_events(session: Any, source: Any, target: Any, settings: Mapping[str, Any], **options: Any) -> Any:
    """Hold Spark to the local engine: the same rows, every column of them; return how Spark cut the source."""
    steps = Steps.parse(dict(settings))
    partitions = options.pop("partitions", 3)
    wanted, name = local_events(source, target, steps, **options)
    frames = as_spark(session, shuffled(source))
    made = generate_on_spark(frames, target, steps=steps, partitions=partitions, **options)
    assert made.generation_id == name
    layout, found = made.layout, events_of(made)
    assert found.column_names == wanted.column_names
    assert len(found) == len(wanted)
    found = found.cast(wanted.schema)
    assert found.equals(wanted) or found.to_pydict() == wanted.to_pydict()  # the second one says where they differ
    return layout


def skewed_tables(
    users: int = 3_000, source_items: int = 120, target_items: int = 60, events: tuple[int, int] = (20_000, 3_000)
) -> tuple[pa.Table, pa.Table]:
    """Return logs in which one item has 20 % of the source events and one user 1 %; few users are in both."""
    random = np.random.default_rng(11)
    n, m = events
    user, item = random.integers(0, users, n), random.integers(0, source_items, n)
    item[random.random(n) < 0.2] = source_items
    user[random.random(n) < 0.01] = 7
    source = pa.table(
        {
            "user": pa.array([f"u{u}" for u in user]),
            "item": pa.array([f"s{i}" for i in item]),
            "time": 1_600_000_000 + random.integers(0, 30 * 86_400, n),
        }
    )
    target = pa.table(
        {
            "user": pa.array([f"u{u}" for u in random.integers(0, users // 10, m)]),
            "item": pa.array([f"t{i}" for i in random.zipf(1.3, m) % target_items]),
            "time": 1_600_000_000 + random.integers(0, 30 * 86_400, m),
            "value": random.random(m).round(2),
        }
    )
    return source, target


def impression_tables() -> tuple[pa.Table, pa.Table]:
    """Return a source with labels and a target of impressions, three negatives per positive."""
    source, _ = skewed_tables(users=300, events=(3_000, 100))
    random = np.random.default_rng(2)
    n = 800
    target = pa.table(
        {
            "user": pa.array([f"u{u}" for u in random.integers(0, 100, n)]),
            "item": random.integers(0, 30, n),
            "time": pa.array(random.integers(0, 30 * 86_400, n) + 1_600_000_000, pa.timestamp("s")),
            "label": pa.array([int(x % 4 == 0) for x in range(n)], pa.int8()),
            "campaign": pa.array([f"c{x}" for x in random.integers(0, 3, n)]),
        }
    )
    target = target.set_column(4, "campaign", pa.array([f"c{i % 5}" for i in target["item"].to_pylist()]))
    dated = source.set_column(2, "time", source["time"].cast(pa.timestamp("s")))
    return dated.append_column("label", pa.array(random.integers(0, 2, len(source)), pa.int8())), target
