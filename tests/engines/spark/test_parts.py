"""What tasks do, without Spark: parts, places of ids, what is cut down to a part, values that are broadcast."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalr.engines.spark.cluster import broadcast as broadcasting
from scalr.engines.spark.cluster import session as sessions
from scalr.engines.spark.cluster.broadcast import broadcast_value
from scalr.engines.spark.cluster.layout import range_of
from scalr.engines.spark.cluster.part import grouped_rows, places_among, rows_of_groups
from scalr.engines.spark.cluster.session import is_spark_frame, require_spark, spark_settings
from scalr.engines.spark.drawing.days import of_day, parse_day
from scalr.engines.spark.drawing.tasks import ByPartNumber
from scalr.engines.spark.fitting.part_translation import KeyedCutoff
from scalr.foundation.errors import ConfigError, MissingExtraError
from scalr.logs.event_log import TimeUnit, Vocabulary
from scalr.logs.vocabulary import unify


def words_of(ids: list[Any], keys: Any = None) -> Vocabulary:
    array = pa.array(ids, pa.large_string() if isinstance(ids[0], str) else pa.int64())
    return unify([array], **({} if keys is None else {"hash_ids": keys}))[0]


@given(st.sets(st.integers(0, 40), min_size=1), st.sets(st.integers(0, 40), min_size=1), st.integers(1, 7))
def test_places_are_those_of_equal_ids_even_where_keys_collide(mine: set[int], theirs: set[int], n_keys: int) -> None:
    def few_keys(ids: pa.Array) -> Any:
        return (ids.to_numpy(zero_copy_only=False) % n_keys).astype(np.uint64)

    one, other = (words_of(sorted(ids), few_keys) for ids in (mine, theirs))
    code = {value: place for place, value in enumerate(other.ids.to_pylist())}
    assert places_among(one, other).tolist() == [code.get(value, -1) for value in one.ids.to_pylist()]


def test_places_of_text_ids() -> None:
    one, other = words_of(["a", "b", "c"]), words_of(["b", "c", "d"])
    place = places_among(one, other)
    found = {name: int(at) for name, at in zip(one.ids.to_pylist(), place, strict=True)}
    assert found["a"] == -1
    assert [other.ids[found[name]].as_py() for name in "bc"] == ["b", "c"]


@given(st.lists(st.integers(0, 4), max_size=8), st.lists(st.integers(-1, 7), max_size=12))
def test_chosen_rows_are_the_groups_one_after_another(sizes: list[int], chosen: list[int]) -> None:
    start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    place = np.array([at if at < len(sizes) else -1 for at in chosen], np.int32)
    if not sizes:
        return
    begin, rows = rows_of_groups(start, place)
    wanted = [list(range(start[at], start[at + 1])) if at >= 0 else [] for at in place]
    assert rows.tolist() == [row for group in wanted for row in group]
    assert np.diff(begin).tolist() == [len(group) for group in wanted]


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 7))
def test_groups_are_whole_however_batches_fall(values: list[int], size: int) -> None:
    values = sorted(values)
    batches = [
        pa.record_batch({"part": pa.array(values[first : first + size], pa.int32())})
        for first in range(0, len(values), size)
    ]
    found = [(number, table["part"].to_pylist()) for number, table in grouped_rows(batches, "part")]
    assert found == [(one, [one] * values.count(one)) for one in sorted(set(values))]


def test_ranges_of_keys_are_in_the_order_of_keys_and_even() -> None:
    keys = np.sort(np.random.default_rng(0).integers(0, 2**63, 10_000).astype(np.uint64) * 2)
    ranges = range_of(keys, np.full(len(keys), 7, np.int32))
    assert (np.diff(ranges) >= 0).all()
    assert (np.bincount(ranges, minlength=7) > 10_000 / 7 * 0.9).all()
    largest = np.array([2**64 - 1], np.uint64)
    assert range_of(largest, np.array([1000], np.int32)).tolist() == [999]


def test_a_cutoff_finds_its_place_among_the_items_of_a_part() -> None:
    keys = np.array([10, 20, 30], np.uint64)
    source = SimpleNamespace(items=SimpleNamespace(keys=keys))
    part: Any = SimpleNamespace(place=np.array([0, -1, 1, 2]), pair=SimpleNamespace(source=source))
    cutoff = KeyedCutoff(np.array([5, 6, 7]), np.array([20, 25, 5], np.uint64)).for_part(part)
    assert cutoff.time.tolist() == [5, np.iinfo(np.int64).min, 6, 7]
    assert cutoff.item.tolist() == [1, -1, 1, -1]


def test_a_part_that_reports_twice_counts_once() -> None:
    counts = ByPartNumber()
    total = counts.zero({})
    for one in ({1: "a"}, {2: "b"}, {1: "a"}):
        total = counts.addInPlace(total, one)
    assert total == {1: "a", 2: "b"}


class FakeContext:
    """Broadcasts by pickling, as Spark does."""

    def broadcast(self, value: Any) -> Any:
        data = pickle.dumps(value)
        return SimpleNamespace(value=pickle.loads(data), destroy=lambda: None)


def test_a_broadcast_value_is_mapped_from_one_file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    files = SimpleNamespace(SparkFiles=SimpleNamespace(getRootDirectory=lambda: str(tmp_path)))
    monkeypatch.setitem(__import__("sys").modules, "pyspark", files)
    value = {"n": np.arange(1000), "none": np.zeros(0), "ids": pa.array(["a", "bc"]), "words": "x"}
    sent = broadcast_value(FakeContext(), value)
    monkeypatch.setattr(broadcasting, "_opened", {})
    found = sent.open()
    assert found["n"].tolist() == value["n"].tolist()
    assert len(found["none"]) == 0
    assert found["ids"].equals(value["ids"])
    found["n"][0] = 7  # written to memory alone
    monkeypatch.setattr(broadcasting, "_opened", {})
    assert sent.open()["n"][0] == 0
    assert len(list(tmp_path.iterdir())) == 1
    assert sent.open() is sent.open()


def test_settings_of_spark() -> None:
    assert spark_settings(["spark.a=1", "spark.b = x=y "]) == {"spark.a": "1", "spark.b": "x=y"}
    for wrong in ("spark.a", "=1"):
        with pytest.raises(ConfigError, match="Spark setting"):
            spark_settings([wrong])


def test_without_java_or_pyspark_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "require_extra", lambda *_: None)
    monkeypatch.setattr(sessions.shutil, "which", lambda *_, **__: None)
    with pytest.raises(MissingExtraError, match="Java 17") as caught:
        require_spark()
    assert len(str(caught.value).splitlines()) == 3
    monkeypatch.undo()
    monkeypatch.setitem(__import__("sys").modules, "pyspark", None)
    monkeypatch.setitem(__import__("sys").modules, "pyspark.sql", None)
    with pytest.raises(MissingExtraError, match=r"scalr-rec\[spark\]"):
        require_spark()


def test_what_is_no_spark_frame() -> None:
    assert not is_spark_frame(pa.table({"a": [1]}))
    assert not is_spark_frame({"feed": "a.parquet"})


def test_days() -> None:
    step = of_day(parse_day("1970-01-03"), TimeUnit("integer", "s", pa.int64()))
    assert step.first == 2 * 86_400_000_000
    with pytest.raises(ConfigError, match="YYYY"):
        parse_day("03.01.1970")
    with pytest.raises(ConfigError, match="plain order"):
        of_day(parse_day("1970-01-03"), TimeUnit("order", "", pa.int64()))
    with pytest.raises(ConfigError, match="no times"):
        of_day(parse_day("1970-01-03"), None)
