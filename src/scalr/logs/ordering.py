"""Bring the events of a log, as they were read, into canonical order with as little memory as possible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scalr.foundation import Codes, Int64, Times, order

_NO_LOW = np.empty(0, np.uint32)
_PART = 1 << 16
_STEPS = (86_400_000_000, 1_000_000, 1_000)  # microseconds: times of a log are often whole days, seconds, milliseconds


@dataclass(frozen=True, slots=True, eq=False)
class PackedTimes:
    """Times as multiples of a step after a first one: four bytes each where they fit.

    Attributes:
        base: The earliest time.
        step: What all differences are multiples of, at least 1.
        numbers: Shape (n,), uint32; or int64 where uint32 is too small, with base 0 and step 1.
    """

    base: int
    step: int
    numbers: Any

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: slice) -> Times:
        """Return the times of a range of rows."""
        numbers: Times = self.numbers[rows].astype(np.int64)
        return numbers * self.step + self.base if self.base or self.step != 1 else numbers


def pack_times(time: Times | PackedTimes) -> Times | PackedTimes:
    """Return times packed where they fit, else as they are."""
    if isinstance(time, PackedTimes):
        return time
    base, last = (int(time.min()), int(time.max())) if len(time) else (0, 0)
    step = next((step for step in _STEPS if _are_multiples(time, base, step)), 1)
    if (last - base) // step >= 2**32:
        return time
    numbers = np.empty(len(time), np.uint32)
    for part in _parts(len(time)):
        numbers[part] = (time[part] - base) // step
    return PackedTimes(base, step, numbers)


def _are_multiples(time: Times, base: int, step: int) -> bool:
    return not any(((time[part] - base) % step).any() for part in _parts(len(time)))


def _parts(n: int) -> Iterator[slice]:
    """Cut rows into slices that stay in the cache; the first is small, since it mostly tells enough."""
    yield slice(0, 256)
    for first in range(256, n, _PART):
        yield slice(first, first + _PART)


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """Ids of events as read: each event's place among the distinct ids, and the code of each of these."""

    place: Codes
    code: Codes


@dataclass(frozen=True, slots=True, eq=False)
class Arranged:
    """Events by group, member, time and then the other columns.

    Attributes:
        start: Shape (n_groups + 1,), where each group starts.
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
    """Order events by group, member, time, then `columns` in their order; equal events in all of these are alike.

    The places of `group` and `member`, and packed times, are overwritten: at their peak 20 bytes per event are held.

    Args:
        group: What comes first: users of a target log, items of a source log.
        member: What comes second.
        n_groups: Groups there are.
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
    codes = member.place  # what was read is not needed any more: its memory is
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
    """Return a column whose order is that of its values; numbers of packed times are ordered as the times."""
    whole: npt.NDArray[Any] = column.numbers if isinstance(column, PackedTimes) else column
    return whole


def _sort(values: npt.NDArray[np.uint64], start: Int64, threads: int) -> None:
    bounds = order.split_evenly(start, threads).tolist()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda part: order.sort_groups(values, start, bounds[part], bounds[part + 1]), range(threads)))


def _without_ties(
    rows: npt.NDArray[np.uint32], member: Codes, start: Int64, keys: Mapping[str, npt.NDArray[Any]]
) -> npt.NDArray[Any]:
    """Order rows of equal group and member by `keys`; most stand alone, so only the others are sorted."""
    tied = np.flatnonzero(order.mark_ties(member, start))
    if len(tied) and keys:
        first = np.ones(len(tied), np.bool_)  # a run of ties begins where the member changes, or the group does
        first[1:] = (np.diff(tied) > 1) | (np.diff(member[tied]) != 0)
        first |= np.isin(tied, start)
        run = np.cumsum(first)
        chosen = rows[tied]
        rows[tied] = chosen[np.lexsort([*(column[chosen] for column in reversed(list(keys.values()))), run])]
    return rows
