"""From a user's columns to arrays: one function per role (ids, time, label, value, weight)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scalr.domain import Floats, Times, TimeUnit
from scalr.engines.files import is_text
from scalr.engines.local import parse_numbers, parse_times
from scalr.errors import SchemaError
from scalr.times import to_microseconds, unit_of_integers
from scalr.vocabulary import IdColumn

_SHOWN_ROWS = 3  # row numbers that an error names
_INTEGER_TEXT = "^(0|-?[1-9][0-9]*)$"  # "007" is no integer: leading zeros would be lost
_FIX_TIMES = "write times as ISO, or as integers since 1970"
_FIX_NUMBERS = "correct the rows, or leave the column out with an empty name"


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column of a user's log, with what an error must name.

    Attributes:
        name: The user's name of the column.
        table: What errors call the log.
        values: Shape (n,), any type; dictionaries decoded, all kinds of text as large_string.
        is_untyped: The format has only text (CSV), so text may stand for integers.
    """

    name: str
    table: str
    values: pa.ChunkedArray
    is_untyped: bool = False

    @property
    def title(self) -> str:
        """Name the column and its log, as errors do."""
        return f"column '{self.name}' of {self.table}"

    def missing(self) -> npt.NDArray[np.bool_]:
        """Say for each row, shape (n,), whether it is null or not a number (NaN)."""
        return _mask(pc.is_null(self.values, nan_is_null=True))


def plain_column(name: str, table: str, values: pa.ChunkedArray, *, is_untyped: bool = False) -> Column:
    """Make a `Column` with dictionaries decoded and one type for text."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if is_text(values.type):
        values = values.cast(pa.large_string())
    return Column(name, table, values, is_untyped)


def rows_of(mask: npt.NDArray[np.bool_]) -> str:
    """Name the first rows where `mask` is true; rows count from 1, a header does not count."""
    rows = np.flatnonzero(mask) + 1
    shown = ", ".join(str(row) for row in rows[:_SHOWN_ROWS])
    return f"row{'s' if len(rows) > 1 else ''} {shown}{', ...' if len(rows) > _SHOWN_ROWS else ''}"


def nulls_in(column: Column, missing: npt.NDArray[np.bool_], expected: str) -> SchemaError:
    """Return the error for the rows of a column that have no value."""
    count = int(missing.sum())
    return SchemaError(
        f"{column.title} has {count} null{'s' if count > 1 else ''} ({rows_of(missing)})",
        expected=expected,
        fix="drop them, or pass --drop-nulls to let scalr drop and count them",
    )


def check_id_type(column: Column) -> None:
    """Refuse ids that are neither integers nor text.

    Raises:
        SchemaError: If they are numbers with decimals, booleans, times or nested.
    """
    type_ = column.values.type
    if pa.types.is_integer(type_) or is_text(type_) or pa.types.is_null(type_):
        return
    fix = "cast the column to integers or text"
    if pa.types.is_floating(type_):
        fix = "cast it to integers or text (integers with missing values become decimals: drop those rows before)"
    raise SchemaError(
        f"{column.title} has the type {type_}{_example(column.values)}",
        expected="ids that are integers or text",
        fix=fix,
    )


def read_ids(column: Column, *, as_text: bool = False) -> IdColumn:
    """Find the distinct ids of a column without nulls.

    Text of a format without types (CSV) becomes integers if every id is the plain text of an integer.

    Raises:
        SchemaError: If the type is wrong, or an unsigned integer is beyond int64.
    """
    check_id_type(column)
    values = column.values
    if pa.types.is_integer(values.type):
        try:
            ids = IdColumn.of(values.cast(pa.int64()))
        except pa.ArrowInvalid as error:
            raise SchemaError(
                f"{column.title} has the id {pc.max(values).as_py()}",
                expected=f"integers up to {2**63 - 1}, or text",
                fix="write ids as text",
            ) from error
        return ids.with_texts() if as_text else ids
    ids = IdColumn.of(values)
    if column.is_untyped and not as_text and pc.all(pc.match_substring_regex(ids.distinct, _INTEGER_TEXT)).as_py():
        try:
            return IdColumn(ids.distinct.cast(pa.int64()), ids.place)
        except pa.ArrowInvalid:  # beyond int64: it stays text
            return ids
    return ids


def read_times(column: Column, unit: str | None = None, type_: pa.DataType | None = None) -> tuple[Times, TimeUnit]:
    """Read times, without nulls, as microseconds since 1970 in UTC, or as a plain order.

    Args:
        column: Integers, whole decimals, dates, timestamps, or ISO text. Times without a zone are UTC.
        unit: "s", "ms", "us", "ns" or "order" for integers; None guesses from their size.
        type_: The user's type, where reading changed it.

    Raises:
        SchemaError: If values are no times.
    """
    values, type_ = column.values, type_ or column.values.type
    if is_text(values.type):
        distinct = IdColumn.of(values).distinct
        if pc.all(pc.match_substring_regex(distinct, "^-?[0-9]{1,18}$")).as_py():
            values = values.cast(pa.int64())
        elif pc.match_substring_regex(values[:1], "^-?[0-9]+([.]0*)?$")[0].as_py():
            values = parse_numbers(values)
            _refuse_text(column, values, "integers, as in the first row", _FIX_TIMES)
        else:
            return _iso_times(column, None if column.is_untyped else type_)
        type_ = pa.int64() if column.is_untyped else type_
    if pa.types.is_date(values.type):
        return _to_int64(values.cast(pa.timestamp("us"))), TimeUnit("date", "", type_)
    if pa.types.is_timestamp(values.type):
        return _timestamps(column, values), TimeUnit("timestamp", getattr(type_, "unit", "us"), type_)
    if pa.types.is_boolean(values.type) or not (pa.types.is_integer(values.type) or _has_decimals(values.type)):
        raise SchemaError(
            f"{column.title} has the type {values.type}{_example(values)}",
            expected="times: integers, dates, timestamps or ISO text",
            fix="cast the column, or name another one with --time",
        )
    numbers = _whole_numbers(column, values)
    largest = int(np.abs(numbers.astype(np.float64)).max(initial=0))
    found = unit_of_integers(largest, type_)
    if unit is not None:
        found = TimeUnit("order", "", type_) if unit == "order" else TimeUnit("integer", unit, type_)
    factor = 1 if found.kind == "order" else {"s": 1_000_000, "ms": 1_000}.get(found.unit, 1)
    if largest * factor >= 2**63:
        raise SchemaError(
            f"{column.title} goes up to {largest}, which is no time in {found.unit}",
            expected="times between the years -290000 and 290000",
            fix="name the right unit with --time-unit s, ms, us, ns or order",
        )
    return to_microseconds(numbers, found), found


def read_labels(column: Column) -> npt.NDArray[np.int8]:
    """Read labels, without nulls: 0 and 1, or false and true; both must occur.

    Raises:
        SchemaError: If there are other values, or one class only.
    """
    values = column.values
    if is_text(values.type):
        lower = pc.utf8_lower(values)
        is_word = pc.is_in(lower, pa.array(["true", "false"], pa.large_string()))
        values = pc.if_else(is_word, pc.if_else(pc.equal(lower, "true"), "1", "0"), values)
    elif pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    numbers = _numbers(Column(column.name, column.table, values, column.is_untyped))
    is_wrong = (numbers != 0) & (numbers != 1)
    if is_wrong.any():
        found = f"{is_wrong.sum()} values that are neither 0 nor 1, such as {numbers[is_wrong][0]:g}"
        raise SchemaError(
            f"{column.title} has {found} ({rows_of(is_wrong)})",
            expected="labels 0 and 1",
            fix="make labels of them, such as rating >= 4, or leave the column out with an empty name",
        )
    if len(classes := np.unique(numbers)) == 1:
        raise SchemaError(
            f"{column.title} has only the label {classes[0]:g} ({len(numbers)} rows)",
            expected="both labels, 0 and 1",
            fix="leave the column out (an empty name): then every event is positive"
            if classes[0] == 1
            else "name the right column with --label, or leave it out with an empty name",
        )
    return numbers.astype(np.int8)


def read_values(column: Column) -> Floats:
    """Read values of events, without nulls: finite numbers.

    Raises:
        SchemaError: If there is text, or an infinite number.
    """
    numbers = _numbers(column) + 0.0  # makes -0.0 and 0.0 the same bytes
    _refuse(column, numbers, ~np.isfinite(numbers), "finite numbers")
    return numbers


def read_weights(column: Column) -> npt.NDArray[np.float32]:
    """Read weights of events, without nulls: finite numbers, at least 0.

    Raises:
        SchemaError: If there is text, or a negative or infinite number.
    """
    numbers = _numbers(column) + 0.0
    limit = float(np.finfo(np.float32).max)
    _refuse(column, numbers, ~(np.abs(numbers) <= limit) | (numbers < 0), "finite weights, at least 0")
    if len(numbers) and not numbers.any():
        raise SchemaError(
            f"column '{column.name}' of {column.table} holds nothing but zeros",
            expected="at least one weight above 0",
            fix="check the column, or leave it out with --weight ''",
        )
    return numbers.astype(np.float32)


def count_true(values: pa.ChunkedArray) -> int:
    """Count rows that are true, 1 or "true"."""
    lower = pc.utf8_lower(values.cast(pa.large_string()))
    return int(pc.sum(pc.is_in(lower, pa.array(["true", "t", "1", "1.0"], pa.large_string()))).as_py() or 0)


def _numbers(column: Column) -> Floats:
    values = column.values
    if is_text(values.type):
        parsed = parse_numbers(values)
        _refuse_text(column, parsed, "numbers", _FIX_NUMBERS)
        values = parsed
    if not (pa.types.is_integer(values.type) or _has_decimals(values.type)):
        raise SchemaError(
            f"{column.title} has the type {values.type}{_example(values)}", expected="numbers", fix=_FIX_NUMBERS
        )
    numbers: Floats = np.array(values.cast(pa.float64(), safe=False).to_numpy())
    return numbers


def _refuse(column: Column, numbers: Floats, is_wrong: npt.NDArray[np.bool_], expected: str) -> None:
    if is_wrong.any():
        count = int(is_wrong.sum())
        said = f"{count} values that cannot be used, such as" if count > 1 else "the value"
        raise SchemaError(
            f"{column.title} has {said} {numbers[is_wrong][0]:g} ({rows_of(is_wrong)})",
            expected=expected,
            fix=_FIX_NUMBERS,
        )


def _refuse_text(column: Column, parsed: pa.ChunkedArray, expected: str, fix: str) -> None:
    is_wrong = _mask(pc.is_null(parsed))
    if is_wrong.any():
        first = column.values[int(np.flatnonzero(is_wrong)[0])].as_py()
        raise SchemaError(f"{column.title} has the text '{first}' ({rows_of(is_wrong)})", expected=expected, fix=fix)


def _iso_times(column: Column, type_: pa.DataType | None) -> tuple[Times, TimeUnit]:
    parsed = parse_times(column.values)
    _refuse_text(column, parsed, "ISO times such as 2017-10-01 or 2017-10-01T12:30:00Z, or integers", _FIX_TIMES)
    are_dates = pc.all(pc.equal(pc.utf8_length(column.values), 10)).as_py()
    if are_dates:
        return _to_int64(parsed), TimeUnit("date", "", type_ or pa.date32())
    return _to_int64(parsed), TimeUnit("timestamp", "us", type_ or pa.timestamp("us"))


def _timestamps(column: Column, values: pa.ChunkedArray) -> Times:
    zone = values.type.tz
    try:
        return _to_int64(values.cast(pa.timestamp("us", tz=zone), safe=values.type.unit != "ns"))
    except pa.ArrowInvalid as error:
        raise SchemaError(
            f"{column.title} has a time that does not fit: {error}",
            expected="times between the years -290000 and 290000",
            fix="correct or drop those rows",
        ) from error


def _whole_numbers(column: Column, values: pa.ChunkedArray) -> Times:
    numbers: Any = values.cast(pa.float64(), safe=False).to_numpy() if _has_decimals(values.type) else values.to_numpy()
    is_wrong = ~(np.abs(numbers.astype(np.float64)) < 2.0**63)
    if _has_decimals(values.type):
        is_wrong |= numbers != np.floor(numbers)
    if is_wrong.any():
        raise SchemaError(
            f"{column.title} has the time {numbers[is_wrong][0]} ({rows_of(is_wrong)})",
            expected="whole numbers, dates or timestamps",
            fix="round the times to a smaller unit, such as milliseconds, or correct those rows",
        )
    whole: Times = numbers.astype(np.int64)
    return whole


def _has_decimals(type_: pa.DataType) -> bool:
    return bool(pa.types.is_floating(type_) or pa.types.is_decimal(type_))


def _to_int64(values: pa.ChunkedArray) -> Times:
    numbers: Times = np.array(values.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy())
    return numbers


def _mask(values: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = np.asarray(values.to_numpy(), np.bool_)
    return mask


def _example(values: pa.ChunkedArray) -> str:
    return f", such as {values[0].as_py()!r}" if len(values) else ""
