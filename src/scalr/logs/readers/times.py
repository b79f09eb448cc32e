"""Reader of times: numbers, dates, timestamps or ISO text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scalr.foundation import SchemaError, Times
from scalr.logs.event_log import TimeUnit
from scalr.logs.readers.column import Column, Misfits, Texts, as_mask, example_of, has_decimals, text_in
from scalr.logs.tables.files import is_text
from scalr.logs.tables.open_table import parse_numbers, parse_times
from scalr.logs.times import factor_of, to_microseconds, unit_of_integers

_FIX_TIMES = "write times as ISO, or as integers since 1970"


class TimeReader:
    """Reads times without nulls as integers, whose unit `finish` returns.

    Times are integers, whole decimals, dates, timestamps, or ISO text; times without a zone are UTC.

    Args:
        unit: "s", "ms", "us", "ns" or "order" for integers; None infers it from the largest value.
        type_: The user's type; None for the type of the column that is read.
    """

    def __init__(self, unit: str | None = None, type_: pa.DataType | None = None) -> None:
        self._unit, self._type = unit, type_
        self._kind = ""  # "integer" (plain numbers), "date", "timestamp", or "iso" (text) after the first batch
        self._largest = 0
        self._texts, self._broken = Misfits(), Misfits()
        self._column: Column | None = None
        self._are_dates = True

    def read(self, column: Column) -> Times:
        """Return numbers in their unit and all other times in microseconds, shape (n,)."""
        values = column.values
        if self._column is None:
            self._begin(column)
        if self._kind == "iso":
            parsed = parse_times(values)
            self._texts.add(column, as_mask(pc.is_null(parsed)), Texts(values))
            self._are_dates = self._are_dates and bool(pc.all(pc.equal(pc.utf8_length(values), 10)).as_py())
            return _to_int64(pc.fill_null(parsed, 0))
        if self._kind == "date":
            return _timestamps(column, values)
        if self._kind == "timestamp":
            return _timestamps(column, values)
        numbers = self._whole_numbers(column, self._numbers_of(column))
        if len(numbers):
            self._largest = max(self._largest, abs(int(numbers.min())), abs(int(numbers.max())))
        return numbers

    def finish(self) -> TimeUnit:
        """Return the format of the times; `to_microseconds` converts numbers by it.

        Raises:
            SchemaError: If some values are not times.
        """
        column = self._column
        assert column is not None, "a log has rows"
        if self._texts.count:
            expected = "integers, as in the first row"
            if self._kind == "iso":
                expected = "ISO times such as 2017-10-01 or 2017-10-01T12:30:00Z, or integers"
            raise text_in(column.title, self._texts, expected, _FIX_TIMES)
        if self._broken.count:
            raise SchemaError(
                f"{column.title} has the time {self._broken.example} ({self._broken.where()})",
                expected="whole numbers, dates or timestamps",
                fix="round the times to a smaller unit, such as milliseconds, or correct those rows",
            )
        type_ = self._type or column.values.type
        if self._kind == "date":
            return TimeUnit("date", "", type_)
        if self._kind == "timestamp":
            return TimeUnit("timestamp", getattr(type_, "unit", "us"), type_)
        if self._kind == "iso":
            written = None if column.is_untyped else type_
            if self._are_dates:
                return TimeUnit("date", "", written or pa.date32())
            return TimeUnit("timestamp", "us", written or pa.timestamp("us"))
        return self._unit_of_numbers(column.title, pa.int64() if self._is_untyped_text(column) else type_)

    def _is_untyped_text(self, column: Column) -> bool:
        return column.is_untyped and is_text(column.values.type)

    def _begin(self, column: Column) -> None:
        self._column = Column(column.name, column.table, column.values[:1], column.is_untyped)
        type_ = column.values.type
        if is_text(type_):
            is_number = pc.match_substring_regex(column.values[:1], "^-?[0-9]+([.]0*)?$")[0].as_py()
            self._kind = "integer" if is_number else "iso"
        elif pa.types.is_date(type_):
            self._kind = "date"
        elif pa.types.is_timestamp(type_):
            self._kind = "timestamp"
        elif pa.types.is_boolean(type_) or not (pa.types.is_integer(type_) or has_decimals(type_)):
            raise SchemaError(
                f"{column.title} has the type {type_}{example_of(column.values)}",
                expected="times: integers, dates, timestamps or ISO text",
                fix="cast the column, or name another one with --time",
            )
        else:
            self._kind = "integer"

    def _numbers_of(self, column: Column) -> pa.ChunkedArray:
        values = column.values
        if not is_text(values.type):
            return values
        if pc.all(pc.match_substring_regex(values, "^-?[0-9]{1,18}$")).as_py():
            return values.cast(pa.int64())
        parsed = parse_numbers(values)
        is_wrong = as_mask(pc.is_null(parsed))
        self._texts.add(column, is_wrong, Texts(values))
        return pc.fill_null(parsed, 0.0)

    def _whole_numbers(self, column: Column, values: pa.ChunkedArray) -> Times:
        if pa.types.is_integer(values.type) and not pa.types.is_uint64(values.type):
            return np.array(values.to_numpy(), np.int64)
        decimal = has_decimals(values.type)
        numbers: Any = values.cast(pa.float64(), safe=False).to_numpy() if decimal else values.to_numpy()
        is_wrong = ~(np.abs(numbers.astype(np.float64)) < 2.0**63)
        if decimal:
            is_wrong |= numbers != np.floor(numbers)
        self._broken.add(column, is_wrong, numbers)
        whole: Times = np.where(is_wrong, 0, numbers).astype(np.int64)
        return whole

    def _unit_of_numbers(self, title: str, type_: pa.DataType) -> TimeUnit:
        unit = unit_of_integers(self._largest, type_)
        if self._unit is not None:
            unit = TimeUnit("order", "", type_) if self._unit == "order" else TimeUnit("integer", self._unit, type_)
        if self._largest * (factor_of(unit) or 1) >= 2**63:
            raise SchemaError(
                f"{title} goes up to {self._largest}, which is no time{f' in {unit.unit}' if unit.unit else ''}",
                expected="times between the years -290000 and 290000",
                fix="name the right unit with --time-unit s, ms, us, ns or order",
            )
        return unit


def read_times(column: Column, unit: str | None = None, type_: pa.DataType | None = None) -> tuple[Times, TimeUnit]:
    """Read a whole column of times as microseconds since 1970 in UTC, or as a plain order; see `TimeReader`."""
    reader = TimeReader(unit, type_)
    times = reader.read(column)
    time_unit = reader.finish()
    return in_microseconds(times, time_unit), time_unit


def in_microseconds(times: Times, unit: TimeUnit, *, in_place: bool = False) -> Times:
    """Return times from a `TimeReader` in microseconds, or the plain order.

    Args:
        times: Shape (n,).
        unit: Format of the times.
        in_place: Overwrite `times` to save memory.
    """
    return to_microseconds(times, unit, in_place=in_place) if unit.kind in ("order", "integer") else times


def _timestamps(column: Column, values: pa.ChunkedArray) -> Times:
    type_ = values.type
    zone, is_finer = getattr(type_, "tz", None), pa.types.is_timestamp(type_) and type_.unit == "ns"
    try:
        return _to_int64(values.cast(pa.timestamp("us", tz=zone), safe=not is_finer))
    except pa.ArrowInvalid as error:
        raise SchemaError(
            f"{column.title} has a time that does not fit: {error}",
            expected="times between the years -290000 and 290000",
            fix="correct or drop those rows",
        ) from error


def _to_int64(values: pa.ChunkedArray) -> Times:
    numbers: Times = np.array(values.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy())
    return numbers
