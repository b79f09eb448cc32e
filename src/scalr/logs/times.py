"""Times: from the user's column to microseconds since 1970 in UTC (or a plain order), and back."""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scalr.foundation import ConfigError, Times
from scalr.logs.event_log import TimeUnit

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_PER_UNIT = {"s": 1_000_000, "ms": 1_000, "us": 1}  # microseconds in one unit
MICROSECONDS_PER_DAY = 86_400_000_000


def unit_of_integers(largest: int, type_: pa.DataType) -> TimeUnit:
    """Infer the unit of integer times from the largest absolute value.

    Numbers below 10**8 count as a plain order (10**8 seconds is March 1973); larger numbers as seconds, milliseconds,
    microseconds or nanoseconds, a factor of 1000 apart.
    """
    if largest < 10**8:
        return TimeUnit("order", "", type_)
    for unit, bound in (("s", 10**11), ("ms", 10**14), ("us", 10**17)):
        if largest < bound:
            return TimeUnit("integer", unit, type_)
    return TimeUnit("integer", "ns", type_)


def to_microseconds(values: Times, unit: TimeUnit, *, in_place: bool = False) -> Times:
    """Return integer times, shape (n,), as microseconds since 1970; a plain order is returned as it is.

    Args:
        values: Shape (n,), in the user's unit.
        unit: The unit.
        in_place: Overwrite `values` to save memory.
    """
    if unit.kind == "order":
        return values
    out = values if in_place else None
    times: Times = (
        np.floor_divide(values, 1000, out=out)
        if unit.unit == "ns"
        else np.multiply(values, _PER_UNIT[unit.unit], out=out)
    )
    return times


def factor_of(unit: TimeUnit) -> int | None:
    """Return the factor from times as read to microseconds; None for nanoseconds, which are divided."""
    return _PER_UNIT.get(unit.unit) if unit.kind == "integer" else 1


def from_microseconds(values: Times, unit: TimeUnit) -> pa.Array:
    """Return microseconds (or a plain order), shape (n,), in the format of the user's column.

    Text is written as ISO in UTC. Dictionaries and decimals need a further cast: the result has their plain type.
    """
    kind = unit.type.value_type if pa.types.is_dictionary(unit.type) else unit.type
    if unit.kind in ("order", "integer"):
        if unit.kind == "integer":
            values = values * 1000 if unit.unit == "ns" else values // _PER_UNIT[unit.unit]
        plain = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        return pa.array(values).cast(kind, safe=False) if plain else pa.array(values)
    if unit.kind == "date":
        days: npt.NDArray[np.int32] = (values // MICROSECONDS_PER_DAY).astype(np.int32)
        return pa.array(days, pa.int32()).cast(pa.date32()).cast(kind)
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(pa.timestamp("us", tz=kind.tz)).cast(kind, safe=False)
    seconds = pa.array(values // 1_000_000, pa.int64()).cast(pa.timestamp("s"))
    return pc.strftime(seconds, format="%Y-%m-%dT%H:%M:%SZ")


def format_time(value: int, unit: TimeUnit | None) -> str:
    """Return a time as text: the number of a plain order, or a date, with the time of day unless it is midnight."""
    if unit is None or unit.kind == "order":
        return str(value)
    try:
        moment = _EPOCH + dt.timedelta(microseconds=value)
    except OverflowError:
        return str(value)
    return moment.strftime("%Y-%m-%d" if value % MICROSECONDS_PER_DAY == 0 else "%Y-%m-%d %H:%M:%S")


def parse_instant(text: str, unit: TimeUnit | None) -> int:
    """Parse an instant: an ISO date, or a number in the unit of the time column.

    Returns:
        Microseconds since 1970, or a number of the plain order.

    Raises:
        ConfigError: If the text is neither.
    """
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is not None and abs(number) < 2**53 and unit is not None and unit.kind in ("order", "integer"):
        return int(to_microseconds(np.array([number], np.int64), unit)[0])
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"instant '{text}' cannot be read",
            expected="an ISO date such as 2017-10-01, or a number in the time column's unit",
            fix="write the date as YYYY-MM-DD",
        ) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)
