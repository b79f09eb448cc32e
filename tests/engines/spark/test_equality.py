"""Spark makes the events of the local engine on skewed logs, with any partitions, times and types of columns."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.engines.spark.worlds import (
    as_spark,
    assert_same_events,
    events_of,
    impression_tables,
    local_events,
    skewed_tables,
)
from tests.engines.ways import PLAIN, SETTINGS, plain_tables
from tests.logs.test_stored import rich_tables
from tests.worlds import small_tables

from scalr.engines.spark.cluster.layout import in_arrow
from scalr.engines.spark.fitting.factors import BY_FACTORS
from scalr.engines.spark.generation import generate_on_spark
from scalr.foundation.config import Steps

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")]


SKEWED: dict[str, Any] = {
    "default": {},
    "window": {**PLAIN, "translate": {"window_days": 5}},
    "capped histories": {**PLAIN, "translate": {"history_cap": 2}},
    "window and cap": {**PLAIN, "translate": {"window_days": 9, "history_cap": 3}},
    "temperature": {**PLAIN, "sample": {"temperature": 0.5, "min_support": 2}},
    "topk": {**PLAIN, "sample": {"strategy": "topk"}},
    "merge": {"refine": {"duplicates": "merge"}},
    "caps": {"refine": {"max_per_user": 3, "max_per_item": 100}},
    "all": SETTINGS["all"],
}


@pytest.mark.parametrize("name", SKEWED)
def test_a_skewed_world_whose_hot_item_is_split(session: Any, name: str) -> None:
    layout = assert_same_events(session, *skewed_tables(), {"seed": 1, **SKEWED[name]}, partitions=16)
    largest = max(layout.hot, key=lambda one: one.events)
    assert largest.item == "s120"
    assert largest.splits > 3
    assert layout.parts == 16 + sum(one.splits for one in layout.hot)


FEW: dict[str, dict[str, Any]] = {
    "plain": {},
    "temperature": {"sample": {"temperature": 0.6, "min_support": 2}},
    "capped, window, back-off": {"translate": {"history_cap": 4, "window_days": 15, "backoff": 7}},
    "topk with back-off": {"translate": {"backoff": 40}, "sample": {"strategy": "topk", "draws_per_event": 6}},
    "conditioned, capped": {"translate": {"translator": "conditioned", "rank": 8, "history_cap": 4}},
    "factor, capped": {"translate": {"translator": "factor", "rank": 8, "history_cap": 4, "window_days": 3}},
    "popularity": {"translate": {"translator": "popularity"}},
    "random": {"translate": {"translator": "random"}},
}


@pytest.mark.parametrize("name", FEW)
def test_a_least_number_of_users_behind_a_pair(session: Any, name: str) -> None:
    source, target = skewed_tables(users=400, source_items=30, target_items=40, events=(4_000, 900))
    given = {"seed": 6, **PLAIN, **FEW[name]}
    few = Steps.parse(given)
    given["translate"] = {**given.get("translate", {}), "privacy": {"k": 10}}
    rows = [len(local_events(source, target, steps)[0]) for steps in (few, Steps.parse(given))]
    assert 0 < rows[1] < rows[0]
    layout = assert_same_events(session, source, target, given, partitions=6)
    assert layout.hot


@pytest.mark.parametrize(("partitions", "fit_pairs"), [(1, 1 << 24), (7, 1 << 24), (3, 1000)])
@pytest.mark.parametrize("translator", BY_FACTORS)
def test_factors_of_all_users(session: Any, translator: str, partitions: int, fit_pairs: int) -> None:
    source, target = skewed_tables(users=600, events=(6_000, 1_500))
    source = source.append_column("label", pa.array(np.random.default_rng(5).integers(0, 2, len(source))))
    settings = {"seed": 9, "translate": {"translator": translator, "rank": 20, "fit_pairs": fit_pairs}}
    layout = assert_same_events(session, source, target, settings, partitions=partitions)
    assert bool(layout.hot) == (partitions == 7)


def test_histories_are_bounded_without_a_cap(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    unbounded = local_events(*small_tables(seed=2), Steps.parse(PLAIN))[0]
    for module in ("scalr.synthesis.translators.cooccurrence", "scalr.engines.spark.fitting.fitting"):
        monkeypatch.setattr(f"{module}.HISTORY_BOUND", 2)
    assert local_events(*small_tables(seed=2), Steps.parse(PLAIN))[0] != unbounded
    assert_same_events(session, *small_tables(seed=2), PLAIN)


@pytest.mark.parametrize("settings", [{}, {"translate": {"history_cap": 2}, "refine": {"duplicates": "merge"}}])
def test_labels_values_and_weights_of_a_hot_item(session: Any, settings: Any) -> None:
    source, target = skewed_tables(events=(8_000, 2_000))
    random, n = np.random.default_rng(4), len(source)
    source = source.set_column(2, "time", pa.array(random.integers(0, 3, n) + 1_600_000_000))
    source = source.append_column("label", pa.array(random.integers(0, 2, n)))
    source = source.append_column("value", pa.array(random.integers(0, 3, n) / 2))
    source = source.append_column("weight", pa.array(random.integers(1, 4, n)))
    layout = assert_same_events(session, source, target, {"seed": 2, **settings}, partitions=20)
    assert any(one.item == "s120" and one.splits > 2 for one in layout.hot)


@pytest.mark.parametrize(("partitions", "adaptive"), [(1, "true"), (2, "false"), (20, "true"), (20, "false")])
def test_partitions_and_adaptive_execution_change_nothing(session: Any, partitions: int, adaptive: str) -> None:
    session.conf.set("spark.sql.adaptive.enabled", adaptive)
    try:
        assert_same_events(session, *skewed_tables(), {"seed": 1, **SETTINGS["all"]}, partitions=partitions)
    finally:
        session.conf.unset("spark.sql.adaptive.enabled")


def test_negatives_and_columns_of_items(session: Any) -> None:
    settings = {"negatives": {"kind": "rate", "per_positive": 2}, "refine": {"min_support": 2}}
    assert_same_events(session, *impression_tables(), settings)
    capped = {"negatives": {"kind": "rate", "per_positive": 2}, "refine": {"max_per_user": 4, "duplicates": "best"}}
    assert_same_events(session, *impression_tables(), capped)


@pytest.mark.parametrize("history_cap", [None, 2])
def test_back_off_to_categories_of_several_domains(session: Any, history_cap: int | None) -> None:
    source, target = rich_tables()
    items = pa.table(
        {"item": [*range(8), 100, 101], "category": [*"aabb", None, *"cca", None, None], "value": [1.5] * 10}
    )
    settings = {"translate": {"backoff": 30, "history_cap": history_cap}, "sample": {"temperature": 0.7}}
    assert_same_events(session, source, target, settings, items=items)


def test_the_target_and_the_items_as_frames_of_spark(session: Any) -> None:
    source, target = plain_tables()
    items = pa.table({"item": list(range(100, 112)), "value": [float(n) for n in range(12)]})
    bare = target.drop_columns(["value"])
    wanted, name = local_events(source, bare, Steps(), items=items)
    frames = [as_spark(session, table) for table in (source, bare, items)]
    made = generate_on_spark(frames[0], frames[1], items=frames[2])
    assert made.generation_id == name
    assert events_of(made).to_pydict() == wanted.to_pydict()


def times_as(kind: str) -> tuple[pa.Table, pa.Table]:
    source, target = plain_tables()
    seconds = source["time"]
    columns = {
        "date": seconds.cast(pa.timestamp("s")).cast(pa.date32()),
        "timestamp": seconds.cast(pa.timestamp("s", tz="UTC")).cast(pa.timestamp("us", tz="UTC")),
        "timestamp without a zone": seconds.cast(pa.timestamp("s")).cast(pa.timestamp("us")),
        "milliseconds": pa.array(seconds.to_numpy() * 1000 + 7),
        "nanoseconds": pa.array(seconds.to_numpy() * 1_000_000_000 + 1_999),
        "decimals": pa.array(seconds.to_numpy().astype(float)),
        "before 1970": pa.array(np.where(seconds.to_numpy() % 3 == 0, -seconds.to_numpy(), seconds.to_numpy())),
    }
    return source.set_column(2, "time", columns[kind]), target


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamp without a zone"])
def test_times_in_any_zone_of_the_session(session: Any, kind: str, zone: str) -> None:
    source, target = times_as(kind)
    session.conf.set("spark.sql.session.timeZone", zone)
    try:
        if kind == "timestamp without a zone":
            session.conf.set("spark.sql.timestampType", "TIMESTAMP_NTZ")
        assert_same_events(session, source, target, {"translate": {"window_days": 9}})
    finally:
        session.conf.set("spark.sql.session.timeZone", "UTC")
        session.conf.unset("spark.sql.timestampType")


@pytest.mark.parametrize("kind", ["milliseconds", "nanoseconds", "decimals", "before 1970"])
def test_times_that_are_numbers(session: Any, kind: str) -> None:
    assert_same_events(session, *times_as(kind), {"translate": {"window_days": 9}})


def test_logs_without_times(session: Any) -> None:
    source, target = (table.drop_columns(["time"]) for table in skewed_tables(users=500, events=(5_000, 1_000)))
    layout = assert_same_events(session, source, target, {"translate": {"history_cap": 2}}, partitions=30)
    assert layout.hot


def test_ids_read_as_text_and_rows_with_nulls_dropped(session: Any) -> None:
    source, target = plain_tables()
    texts = source.set_column(0, "user", source["user"].cast(pa.string()))
    holes = texts.set_column(
        2, "time", pa.array([None if x % 9 == 0 else t for x, t in enumerate(texts["time"].to_pylist())])
    )
    assert_same_events(session, holes, target, {}, ids="string", drop_nulls=True)


def test_weights_with_fractions(session: Any) -> None:
    source, target = skewed_tables(users=500, events=(4_000, 1_000))
    weight = np.random.default_rng(3).integers(0, 16, len(source)) / 4
    settings = {"refine": {"duplicates": "merge", "align": {"by": ["value", "time"], "buckets": 5}}}
    assert_same_events(session, source.append_column("weight", pa.array(weight)), target, settings, partitions=20)


def passed_over(batches: Any) -> Any:
    rows = sum(len(batch) for batch in batches)
    yield pa.RecordBatch.from_pydict({"rows": [rows], "objects": [gc.get_freeze_count()]})


def test_the_garbage_collector_of_workers_passes_over_what_is_loaded(session: Any) -> None:
    told = in_arrow(session.range(20, numPartitions=10), passed_over, "rows bigint, objects bigint").collect()
    assert sum(row.rows for row in told) == 20
    assert max(row.objects for row in told) > 10_000
