"""Sort the events of a log into canonical order with little memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scalr.foundation import Codes, Int64, Keys, Times, order

_NO_LOW = np.empty(0, np.uint32)
_SLICE = 1 << 16  # events, so that a slice fits in a cache
_STEPS = (86_400_000_000, 1_000_000, 1_000)  # microseconds: times are often whole days, seconds or milliseconds


@dataclass(frozen=True, slots=True, eq=False)
class PackedTimes:
    """Times as multiples of a step after an earliest time, four bytes each where they fit.

    Attributes:
        base: The earliest time.
        step: A common divisor of all differences, at least 1.
        numbers: Shape (n,), uint32; int64 with base 0 and step 1 where uint32 is too small.
    """

    base: int
    step: int
    numbers: Any

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: slice) -> Times:
        """Return the times of a slice of rows, shape (n_rows,)."""
        numbers: Times = self.numbers[rows].astype(np.int64)
        return numbers * self.step + self.base if self.base or self.step != 1 else numbers


def pack_times(time: Times | PackedTimes) -> Times | PackedTimes:
    """Return packed times, or the times themselves where they do not fit in uint32."""
    if isinstance(time, PackedTimes):
        return time
    base, last = (int(time.min()), int(time.max())) if len(time) else (0, 0)
    step = next((step for step in _STEPS if _are_multiples(time, base, step)), 1)
    if (last - base) // step >= 2**32:
        return time
    numbers = np.empty(len(time), np.uint32)
    for part in _slices(len(time)):
        numbers[part] = (time[part] - base) // step
    return PackedTimes(base, step, numbers)


def _are_multiples(time: Times, base: int, step: int) -> bool:
    return not any(((time[part] - base) % step).any() for part in _slices(len(time)))


def _slices(n: int) -> Iterator[slice]:
    """Yield slices of n rows; the first is short, since a few times usually rule a step out."""
    yield slice(0, 256)
    for first in range(256, n, _SLICE):
        yield slice(first, first + _SLICE)


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """Ids of events as read, and their codes.

    Attributes:
        place: Shape (n,), position of each event's id among the distinct ids.
        code: Shape (n_distinct,), code of each distinct id.
    """

    place: Codes
    code: Codes


@dataclass(frozen=True, slots=True, eq=False)
class Arranged:
    """Events sorted by group, member, time and then the other columns.

    Attributes:
        start: Shape (n_groups + 1,), offset of each group.
        member: Shape (n,), codes.
        time: Shape (n,), or None without time.
        columns: Further columns, shape (n,) each.
    """

    start: Int64
    member: Codes
    time: PackedTimes | None
    columns: Mapping[str, Any]


def arrange(
    group: Coded,
    member: Coded,
    n_groups: int,
    *,
    time: Times | PackedTimes | None,
    columns: Mapping[str, npt.NDArray[Any]],
    threads: int = 1,
) -> Arranged:
    """Sort events by group, member, time, then `columns` in their order.

    The places of `group` and `member`, and packed times, are overwritten. Peak memory is 20 bytes per event.

    Args:
        group: First sort key: users of a target log, items of a source log.
        member: Second sort key.
        n_groups: Number of groups.
        time: Shape (n,), microseconds or a plain order, packed by `pack_times`; None without time.
        columns: Further columns, shape (n,) each.
        threads: Threads to sort with; they do not change the result.
    """
    start = order.group_starts(group.place, group.code, n_groups)
    values = np.empty(len(group.place), np.uint64)
    by_number = bool(columns) or isinstance(time, np.ndarray)
    low = _NO_LOW if time is None or isinstance(time, np.ndarray) or by_number else time.numbers
    order.scatter(group.place, group.code, member.place, member.code, low, start, values)
    _sort(values, start, threads)
    codes = member.place  # memory that is reused
    if isinstance(time, PackedTimes) and not by_number:
        order.split_halves(values, codes, time.numbers)
        return Arranged(start, codes, time, {})
    rows = group.place.view(np.uint32)
    order.split_halves(values, codes, rows)
    del values
    keys = {**({} if time is None else {"time": time}), **columns}
    if not keys:
        return Arranged(start, codes, None, {})
    rows = _without_ties(rows, codes, start, {name: _whole(column) for name, column in keys.items()})
    placed = {name: column[rows] for name, column in columns.items()}
    if time is None:
        return Arranged(start, codes, None, placed)
    if isinstance(time, PackedTimes):
        return Arranged(start, codes, PackedTimes(time.base, time.step, time.numbers[rows]), placed)
    return Arranged(start, codes, PackedTimes(0, 1, time[rows]), placed)


def _whole(column: Any) -> npt.NDArray[Any]:
    """Return an array in the order of the values; the numbers of packed times have the order of the times."""
    whole: npt.NDArray[Any] = column.numbers if isinstance(column, PackedTimes) else column
    return whole


def _sort(values: Keys, start: Int64, threads: int) -> None:
    bounds = order.split_evenly(start, threads).tolist()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda part: order.sort_groups(values, start, bounds[part], bounds[part + 1]), range(threads)))


def _without_ties(
    rows: npt.NDArray[np.uint32], member: Codes, start: Int64, keys: Mapping[str, npt.NDArray[Any]]
) -> npt.NDArray[Any]:
    """Sort rows of equal group and member by `keys`; only these rows are sorted, since most rows have no equal."""
    tied = np.flatnonzero(order.mark_ties(member, start))
    if len(tied) and keys:
        first = np.ones(len(tied), np.bool_)  # a run of ties begins where the member changes, or the group does
        first[1:] = (np.diff(tied) > 1) | (np.diff(member[tied]) != 0)
        first |= np.isin(tied, start)
        run = np.cumsum(first)
        tied_rows = rows[tied]
        rows[tied] = tied_rows[np.lexsort([*(column[tied_rows] for column in reversed(list(keys.values()))), run])]
    return rows
