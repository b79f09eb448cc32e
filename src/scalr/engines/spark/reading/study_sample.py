"""Logs for a study on one machine: all events of a sample of target users, selected by a hash of their ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scalr.engines.spark.cluster.session import no_pandas_warning
from scalr.engines.spark.reading.logs import SparkLogs
from scalr.foundation import rng
from scalr.logs import LogRequest, StoredPair, open_table, read_columns, read_logs

STUDY_EVENTS = 5_000_000  # source events of a study, at most, about: a machine trains on them in minutes


def study_pair(logs: SparkLogs, request: LogRequest, *, most: int = STUDY_EVENTS) -> tuple[StoredPair, float]:
    """Collect the events of a sample of target users.

    Users without target events are not needed: no path passes through them, and they have no events to evaluate on.

    Args:
        logs: Logs that were read.
        request: The same logs, as files that the local engine reads.
        most: Source events to collect, at most, about.

    Returns:
        The pair, and the share of the target users that it has.
    """
    users = logs.pair.target.users
    share = min(1.0, most / max(_known_events(logs), 1))
    keep = rng.keyed_units(0, rng.Purpose.STUDY_USERS, users.keys) < share
    sampled = users.ids.take(pa.array(np.flatnonzero(keep)))
    sources = {log.name: _of_users(log, sampled) for log in logs.sources}
    name = logs.pair.target.columns.user or ""
    opened = open_table(request.target, "target")
    table = read_columns(opened, opened.schema.names)
    target = table.filter(pc.is_in(table[name].cast(sampled.type), value_set=sampled)) if share < 1 else request.target
    pair = read_logs(replace(request, source=sources, target=target))
    return replace(pair, inputs=logs.inputs), share


def _known_events(logs: SparkLogs) -> int:
    """Count the source events of target users."""
    return int(_joined(logs.events, "user", logs.pair.target.users.ids).count())


def _joined(frame: Any, user: str, ids: pa.Array) -> Any:
    from pyspark.sql import functions as f

    with no_pandas_warning():
        known = frame.sparkSession.createDataFrame(pa.table({"scalr user": ids}))
    is_known = frame[f"`{user}`"].cast(known.schema[0].dataType) == known["scalr user"]
    return frame.join(f.broadcast(known), is_known, "left_semi")


def _of_users(log: Any, ids: pa.Array) -> pa.Table:
    columns: Mapping[str, str] = {role: column for role, column in log.columns.roles() if column}
    frame = _joined(log.frame, columns["user"], ids).select(*(f"`{column}`" for column in columns.values()))
    with no_pandas_warning():
        return frame.toArrow()
