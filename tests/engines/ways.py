"""The three ways to make synthetic events, and the settings and logs on which they are compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tests.engines.spark.worlds import as_spark, in_order
from tests.worlds import small_tables

from scalr.engines.generation import generate_from
from scalr.engines.local.writing import write_events
from scalr.engines.spark.generation import generate_on_spark
from scalr.foundation.config import Steps
from scalr.foundation.receipts import Receipt, Stopwatch
from scalr.logs.log_request import LogRequest
from scalr.logs.reading import read_logs

PLAIN: dict[str, object] = {"refine": {"align": None}}
SETTINGS: dict[str, dict[str, object]] = {
    "plain": PLAIN,
    "one draw": {**PLAIN, "sample": {"draws_per_event": 1}},
    "temperature": {**PLAIN, "sample": {"temperature": 0.6, "min_support": 2}},
    "topk": {**PLAIN, "sample": {"strategy": "topk", "draws_per_event": 3}},
    "capped histories": {**PLAIN, "translate": {"history_cap": 2}},
    "window": {**PLAIN, "translate": {"window_days": 10}},
    "back-off": {**PLAIN, "translate": {"backoff": 50}},
    "conditioned": {**PLAIN, "translate": {"translator": "conditioned", "rank": 8}},
    "conditioned, all settings": {
        "translate": {"translator": "conditioned", "rank": 8, "history_cap": 3, "window_days": 15, "backoff": 5},
        "sample": {"temperature": 0.7, "min_support": 2},
    },
    "factor": {**PLAIN, "translate": {"translator": "factor", "rank": 8, "shortlist": 9}},
    "factor, sharp": {
        "translate": {"translator": "factor", "rank": 8},
        "sample": {"temperature": 0.5, "min_support": 2},
        "refine": {"duplicates": "merge"},
    },
    "popularity": {**PLAIN, "translate": {"translator": "popularity"}},
    "random": {**PLAIN, "translate": {"translator": "random"}},
    "filter": {"refine": {"align": None, "min_support": 3, "min_confidence": 0.02}},
    "best": {"refine": {"align": None, "duplicates": "best"}},
    "merge": {"refine": {"align": None, "duplicates": "merge"}},
    "aligned": {"refine": {"align": {"by": ["value", "popularity", "time"], "buckets": 4, "keep_share": 0.3}}},
    "all": {
        "sample": {"draws_per_event": 6},
        "refine": {
            "min_support": 2,
            "min_confidence": 0.01,
            "duplicates": "merge",
            "align": {"by": ["popularity"], "buckets": 5, "keep_share": 0.4},
            "max_per_user": 5,
            "max_per_item": 40,
        },
    },
    "caps": {"refine": {"max_per_user": 3, "max_per_item": 40}},
    "nothing": {"sample": {"min_support": 10_000}, **PLAIN},
}


def plain_tables() -> tuple[pa.Table, pa.Table]:
    """Return small logs whose target events have values."""
    source, target = small_tables(seed=2)
    return source, target.append_column("value", pa.array(np.random.default_rng(0).random(len(target)).round(2)))


def digests(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*.parquet") if ".events" not in file.parts)
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def written(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(file) for file in sorted((folder / "synthetic").glob("part-*.parquet"))])


@dataclass(frozen=True)
class Outcome:
    """What a way gives.

    Attributes:
        table: The events; in canonical order but for Spark.
        generation_id: The id.
        stages: Rows in and out of each stage from drawing to caps.
        digest: SHA-256 of the bytes that the way makes; of the sorted rows for Spark.
    """

    table: pa.Table
    generation_id: str
    stages: Mapping[str, tuple[int, int]]
    digest: str


def stages_of(receipts: tuple[Receipt, ...]) -> dict[str, tuple[int, int]]:
    """Return the rows in and out of the stages that all ways have."""
    others = ("read", "lay_out", "fit", "negatives", "emit")
    return {one.stage: (one.rows_in, one.rows_out) for one in receipts if one.stage not in others}


def request_of(source: Any, target: Any, steps: Steps) -> LogRequest:
    return LogRequest(source, target, item_columns=steps.negatives.kind != "none")


def in_memory(source: Any, target: Any, steps: Steps, layout: str = "target") -> Outcome:
    """Make events as `scalr.generate` does."""
    made = generate_from(read_logs(request_of(source, target, steps)), steps, Receipt("read", 0, 0))
    table = made.table(layout)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    digest = hashlib.sha256(sink.getvalue().to_pybytes()).hexdigest()
    return Outcome(table, made.generation_id, stages_of(made.receipts), digest)


def part_by_part(source: Any, target: Any, steps: Steps, folder: Path, layout: str = "target") -> Outcome:
    """Make events as `scalr generate` does."""
    done = write_events(read_logs(request_of(source, target, steps)), steps, folder, layout=layout, threads=2)
    return Outcome(written(folder), done.generation_id, stages_of(done.receipts), repr(digests(folder)))


def on_spark(session: Any, source: Any, target: Any, steps: Steps) -> Outcome:
    """Make events as `scalr generate --engine spark` does."""
    made = generate_on_spark(as_spark(session, source), target, steps=steps, partitions=3)
    with Stopwatch() as watch:
        table = made.frame.toArrow()
    stages = stages_of(made.stage_receipts(watch))
    made.release()
    digest = hashlib.sha256(repr(in_order(table).to_pydict()).encode()).hexdigest()
    return Outcome(table, made.generation_id, stages, digest)
