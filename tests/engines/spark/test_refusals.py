"""What Spark cannot do, or cannot do as the local engine does, is refused in three lines."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from tests.engines.spark.worlds import as_spark, impression_tables
from tests.worlds import small_tables

import scalr
from scalr.engines.spark.cluster.session import checked
from scalr.engines.spark.cluster.types import spark_schema
from scalr.engines.spark.fitting.fitting import check_translator
from scalr.engines.spark.generation import generate_on_spark
from scalr.engines.spark.reading.source import source_frame
from scalr.foundation.config import Steps
from scalr.foundation.errors import ConfigError, InputError, ScalrError, SchemaError
from scalr.runs.running import check_layout

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")

REPLACED: dict[str, tuple[str, Any, str]] = {
    "a null": ("user", pa.array([None, *range(399)]), "1 null"),
    "text for times": ("time", pa.array(["2020-01-01"] * 400), "type string"),
    "decimals for ids": ("item", pa.array([1.5] * 400), "type double"),
    "a broken time": ("time", pa.array([1.5, *[1_600_000_000.0] * 399]), "1 values such as 1.5"),
    "text users": ("user", pa.array(["u"] * 400), "user ids are text"),
    "times as a plain order": ("time", pa.array(range(400)), "plain order"),
    "nobody in both": ("user", pa.array(range(1000, 1400)), "no user has positive events in both"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", REPLACED)
def test_wrong_sources(session: Any, case: str) -> None:
    source, target = small_tables()
    name, values, words = REPLACED[case]
    changed = source.set_column(source.column_names.index(name), name, values)
    with pytest.raises(SchemaError, match=words) as caught:
        generate_on_spark(as_spark(session, changed), target)
    assert len(str(caught.value).splitlines()) == 3


def test_noise_is_refused_and_a_least_number_of_users_is_not() -> None:
    for privacy in ({"epsilon": 1.0}, {"epsilon": 2.0, "k": 2}):
        with pytest.raises(ConfigError, match="noisy counts are made by the local engine only") as caught:
            check_translator(Steps.parse({"translate": {"privacy": privacy}}).translate)
        assert len(str(caught.value).splitlines()) == 3
    check_translator(Steps.parse({"translate": {"privacy": {"k": 2}}}).translate)


@pytest.mark.slow
def test_what_scalr_wrote_is_no_source(session: Any) -> None:
    source, target = small_tables()
    for name in ("confidence", "support", "source_item", "source_event", "draw"):
        source = source.append_column(name, pa.array(range(len(source))))
    with pytest.raises(SchemaError, match="the source frame holds synthetic events") as caught:
        generate_on_spark(as_spark(session, source), target)
    assert len(str(caught.value).splitlines()) == 3


ADDED: dict[str, tuple[str, Any, str]] = {
    "synthetic events": ("is_synthetic", pa.array([True] + [False] * 399), "1 synthetic"),
    "one label": ("label", pa.array([1] * 400), "only the label 1"),
    "a third label": ("label", pa.array([0, 1, 2] + [0] * 397), "1 values such as 2"),
    "a negative weight": ("weight", pa.array([-1.0] + [1.0] * 399), "1 values such as -1"),
    "no weight": ("weight", pa.array([0] * 400), "nothing but zeros"),
    "an infinite value": ("value", pa.array([float("inf")] + [0.0] * 399), "1 values such as"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", ADDED)
def test_wrong_values(session: Any, case: str) -> None:
    source, target = small_tables()
    name, values, words = ADDED[case]
    with pytest.raises(SchemaError, match=words):
        generate_on_spark(as_spark(session, source.append_column(name, values)), target)


@pytest.mark.slow
def test_settings_that_would_differ(session: Any) -> None:
    source, target = impression_tables()
    frame = as_spark(session, source)
    with pytest.raises(ConfigError, match=r"would get 2\.995 each"):
        generate_on_spark(
            frame, target.slice(0, 799), steps=Steps.parse({"negatives": {"kind": "rate", "per_positive": None}})
        )
    with pytest.raises(SchemaError, match="no time column"):
        generate_on_spark(frame.drop("time"), target)
    with pytest.raises(ConfigError, match="'auto'"):
        scalr.generate(frame, target, steps=Steps.parse({"translate": {"translator": "auto"}}))


@pytest.mark.slow
@pytest.mark.parametrize("translator", ["conditioned", "factor"])
def test_more_factors_than_a_machine_may_hold(session: Any, translator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scalr.engines.spark.fitting.factors.MOST_BYTES", 100)
    source, target = small_tables()
    steps = Steps.parse({"translate": {"translator": translator}})
    with pytest.raises(ConfigError, match="at most 100") as caught:
        generate_on_spark(as_spark(session, source), target, steps=steps)
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(("name", "words"), [("auto", "validation"), ("nonsense", "no translator")])
def test_translators_that_do_not_run(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_translator(Steps.parse({"translate": {"translator": name}}).translate)


def test_layouts_and_files(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match="compact"):
        check_layout("compact")
    (tmp_path / "log.csv").write_text("user,item\n1,2\n")
    with pytest.raises(InputError, match="CSV"):
        source_frame(None, str(tmp_path / "log.csv"))


def test_types_that_spark_does_not_have() -> None:
    pytest.importorskip("pyspark", reason="the extra 'spark' is not installed")
    plain, _ = spark_schema(pa.schema({"a": pa.dictionary(pa.int32(), pa.large_string()), "t": pa.timestamp("s")}))
    assert plain.types == [pa.string(), pa.timestamp("us")]
    with pytest.raises(SchemaError, match="'n' of the target log has the type uint32"):
        spark_schema(pa.schema({"n": pa.uint32()}))


def test_sessions_that_cannot_be_used() -> None:
    with pytest.raises(ConfigError, match="no active"):
        checked(None)
    connect = type("SparkSession", (), {"__module__": "pyspark.sql.connect.session"})()
    with pytest.raises(ScalrError, match="Connect"):
        checked(connect)
