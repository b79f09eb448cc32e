"""Times become microseconds and go back to what the user had."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalr.foundation.errors import ConfigError, SchemaError
from scalr.logs.event_log import TimeUnit
from scalr.logs.readers.column import plain_column
from scalr.logs.readers.times import read_times
from scalr.logs.times import format_time, from_microseconds, parse_instant, to_microseconds, unit_of_integers

NOON = 1_600_000_000  # 2020-09-13 12:26:40 UTC
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@pytest.mark.parametrize(("unit", "factor"), UNITS.items())
def test_the_unit_of_todays_integers_is_guessed(unit: str, factor: int) -> None:
    assert unit_of_integers(NOON * factor, pa.int64()) == TimeUnit("integer", unit, pa.int64())


def test_small_integers_are_an_order() -> None:
    assert unit_of_integers(99_999_999, pa.int32()) == TimeUnit("order", "", pa.int32())


@given(st.sampled_from([*UNITS, "order"]), st.integers(0, 4 * 10**9))
def test_integers_go_there_and_back(unit: str, seconds: int) -> None:
    known = TimeUnit("order", "", pa.int64()) if unit == "order" else TimeUnit("integer", unit, pa.int64())
    given_times = np.array([seconds * UNITS.get(unit, 1)], np.int64)
    moved = to_microseconds(given_times, known)
    assert moved[0] == (seconds if unit == "order" else seconds * 10**6)
    assert from_microseconds(moved, known).to_pylist() == given_times.tolist()


def read(values: pa.Array, *, unit: str | None = None, is_untyped: bool = False) -> tuple[list[int], TimeUnit]:
    times, found = read_times(plain_column("when", "the log", pa.chunked_array([values]), is_untyped=is_untyped), unit)
    return times.tolist(), found


MOMENT = dt.datetime(2020, 9, 13, 12, 26, 40)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([NOON]), "integer"),
        (pa.array([NOON * 1000]), "integer"),
        (pa.array([float(NOON)]), "integer"),
        (pa.array([NOON], pa.uint32()), "integer"),
        (pa.array([MOMENT], pa.timestamp("s")), "timestamp"),
        (pa.array([MOMENT], pa.timestamp("ns")), "timestamp"),
        (pa.array([MOMENT.replace(tzinfo=dt.UTC)], pa.timestamp("ms", tz="Europe/Berlin")), "timestamp"),
        (pa.array(["2020-09-13 12:26:40"]), "timestamp"),
        (pa.array(["2020-09-13T14:26:40+02:00"]), "timestamp"),
        (pa.array(["2020-09-13T12:26:40Z"]).dictionary_encode(), "timestamp"),
        (pa.array([str(NOON)]), "integer"),
    ],
)
def test_every_way_to_write_a_moment_is_the_same_moment(values: pa.Array, kind: str) -> None:
    times, found = read(values)
    assert times == [NOON * 10**6]
    assert found.kind == kind


@pytest.mark.parametrize(
    "values",
    [pa.array([dt.date(2020, 9, 13)]), pa.array([dt.date(2020, 9, 13)], pa.date64()), pa.array(["2020-09-13"])],
)
def test_dates_are_midnight_and_come_back_as_they_were(values: pa.Array) -> None:
    times, found = read(values)
    assert times == [(NOON // 86_400) * 86_400 * 10**6]
    assert found.kind == "date"
    back = from_microseconds(np.array(times), found)
    assert back.cast(values.type).to_pylist() == values.to_pylist()


def test_a_zone_comes_back() -> None:
    values = pa.array([MOMENT.replace(tzinfo=dt.UTC)], pa.timestamp("ms", tz="Europe/Berlin"))
    times, found = read(values)
    assert from_microseconds(np.array(times), found).equals(values)


def test_text_of_a_format_without_types_gets_a_type() -> None:
    assert read(pa.array(["2020-09-13"]), is_untyped=True)[1].type == pa.date32()
    assert read(pa.array(["2020-09-13 00:00"]), is_untyped=True)[1].type == pa.timestamp("us")
    assert read(pa.array(["17"]), is_untyped=True)[1] == TimeUnit("order", "", pa.int64())
    assert read(pa.array(["17.0"]), is_untyped=True)[0] == [17]


def test_a_given_unit_is_not_guessed() -> None:
    assert read(pa.array([86_400]), unit="s")[0] == [86_400 * 10**6]
    assert read(pa.array([NOON]), unit="order") == ([NOON], TimeUnit("order", "", pa.int64()))


@pytest.mark.parametrize(
    ("values", "unit", "found"),
    [
        (pa.array([True]), None, "bool"),
        (pa.array([1.5, 2.0]), None, "1.5 (row 1)"),
        (pa.array([1.0, np.inf]), None, "inf (row 2)"),
        (pa.array(["2020-09-13", "yesterday"]), None, "'yesterday' (row 2)"),
        (pa.array(["2020-13-13"]), None, "'2020-13-13'"),
        (pa.array([2**64 - 1], pa.uint64()), None, "18446744073709551615"),
        (pa.array([2**60]), "s", "1152921504606846976"),
        (pa.array([2**60], pa.timestamp("s")), None, "does not fit"),
        (pa.array([dt.time(1)]), None, "time64"),
    ],
)
def test_what_is_no_time_is_refused(values: pa.Array, unit: str | None, found: str) -> None:
    with pytest.raises(SchemaError) as caught:
        read(values, unit=unit)
    assert found in caught.value.what
    assert len(str(caught.value).splitlines()) == 3


def test_times_are_shown_as_dates() -> None:
    seconds = TimeUnit("integer", "s", pa.int64())
    assert format_time(NOON * 10**6, seconds) == "2020-09-13 12:26:40"
    assert format_time(86_400 * 10**6, seconds) == "1970-01-02"
    assert format_time(17, TimeUnit("order", "", pa.int64())) == "17"


def test_instants_are_read() -> None:
    seconds = TimeUnit("integer", "s", pa.int64())
    assert parse_instant("2020-09-13T12:26:40", seconds) == NOON * 10**6
    assert parse_instant(str(NOON), seconds) == NOON * 10**6
    assert parse_instant("17", TimeUnit("order", "", pa.int64())) == 17
    with pytest.raises(ConfigError, match="soon"):
        parse_instant("soon", seconds)
