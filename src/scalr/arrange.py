"""Bring the events of a log, as they were read, into canonical order with as little memory as possible."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scalr.domain import Codes, Times
from scalr.kernels import order

Int64 = npt.NDArray[np.int64]
_NO_LOW = np.empty(0, np.uint32)
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


def packing_of(time: Times) -> tuple[int, int] | None:
    """Return base and step under which times fit into 32 bits, or None where they do not."""
    if not len(time):
        return 0, 1
    base, last = int(time.min()), int(time.max())
    for step in _STEPS:
        if not ((time[:1024] - base) % step).any() and not _any_between(time, base, step):
            break
    else:
        step = 1
    return (base, step) if (last - base) // step < 2**32 else None


def _any_between(time: Times, base: int, step: int) -> bool:
    return any(((time[x : x + (1 << 16)] - base) % step).any() for x in range(0, len(time), 1 << 16))


def pack(time: Times, packing: tuple[int, int]) -> npt.NDArray[np.uint32]:
    """Return times under a packing that fits them, a part at a time."""
    base, step = packing
    numbers = np.empty(len(time), np.uint32)
    for x in range(0, len(time), 1 << 16):
        numbers[x : x + (1 << 16)] = (time[x : x + (1 << 16)] - base) // step
    return numbers


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
    time: Times | None,
    columns: Mapping[str, npt.NDArray[Any]],
    packing: tuple[int, int] | None,
    threads: int = 1,
) -> Arranged:
    """Order events by group, member, time, then `columns` in their order; equal events in all of these are alike.

    Args:
        group: What comes first: users of a target log, items of a source log.
        member: What comes second.
        n_groups: Groups there are.
        time: Shape (n,), microseconds or a plain order; None without time.
        columns: Further columns, shape (n,) each.
        packing: How times are packed; None if they do not fit into 32 bits.
        threads: Threads to sort with; they do not change the result.
    """
    start = order.group_starts(group.place, group.code, n_groups)
    values = np.empty(len(group.place), np.uint64)
    by_number = bool(columns) or (time is not None and packing is None)
    if time is None or by_number:
        low = _NO_LOW
    else:
        assert packing is not None
        low = pack(time, packing)
    order.scatter(group.place, group.code, member.place, member.code, low, start, values)
    del low
    _sort(values, start, threads)
    codes, low = np.empty(len(values), np.int32), np.empty(len(values), np.uint32)
    order.unpack(values, codes, low)
    del values
    if not by_number:
        return Arranged(start, codes, None if time is None else PackedTimes(*(packing or (0, 1)), low), {})
    keys = {**({} if time is None else {"time": time}), **columns}
    rows = _without_ties(low, codes, start, keys)
    placed = {name: column[rows] for name, column in columns.items()}
    if time is None:
        return Arranged(start, codes, None, placed)
    ordered = time[rows]
    numbers = PackedTimes(0, 1, ordered) if packing is None else PackedTimes(*packing, pack(ordered, packing))
    return Arranged(start, codes, numbers, placed)


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
