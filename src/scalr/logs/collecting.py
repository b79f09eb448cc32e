"""Buffers for events as they are read, in memory or in files, and the logs in canonical order made from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.foundation import Codes, Int64, Keys, Times, order
from scalr.logs.event_log import EventLog, TimeUnit, Vocabulary
from scalr.logs.ordering import Arranged, Coded, PackedTimes, arrange, pack_times
from scalr.logs.readers.times import in_microseconds
from scalr.logs.schema import Columns
from scalr.logs.stored import FileColumn, StoredLog
from scalr.logs.times import factor_of

Arrays = Mapping[str, npt.NDArray[Any]]
ROLE_TYPES: dict[str, Any] = {
    "user": np.int32,
    "item": np.int32,
    "time": np.int64,
    "label": np.int8,
    "value": np.float64,
    "weight": np.float32,
}
"""Type of the buffered events, by role; users and items are positions among the distinct ids of the log."""

_NEUTRAL = {"label": 1, "value": np.nan, "weight": 1}  # for a log without the column, next to one that has it
_SPLIT_BITS = 8  # 256 files: 4 million events each at a billion events
_N_FILES = 1 << _SPLIT_BITS
_FILE_SHIFT = np.uint64(64 - _SPLIT_BITS)
_MAX_RESERVED_ROWS = 1 << 27  # the row count comes from a file footer, which may be wrong
_WRITE_BUFFER = 1 << 16  # bytes per file


class EventBuffer(Protocol):
    """Collects events in batches."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the columns that were added."""

    def add(self, columns: Arrays, item_keys: Callable[[], Keys]) -> None:
        """Add a batch.

        Args:
            columns: Arrays of shape (n,) by role, of `ROLE_TYPES`.
            item_keys: Returns the keys of the items, shape (n,), as the vocabulary will have them.
        """


class MemoryBuffer:
    """Holds events in arrays that grow in place; times as int32 offsets from the first one where they fit.

    Args:
        expected: Number of rows to come, if known.
    """

    def __init__(self, expected: int | None = None) -> None:
        self._capacity = min(expected or 1 << 16, _MAX_RESERVED_ROWS)
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        self._n = 0
        self._base: int | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the columns that were added."""
        return tuple(self._arrays)

    def add(self, columns: Arrays, item_keys: Callable[[], Keys]) -> None:
        """Add a batch; see `EventBuffer`."""
        if not self._arrays:
            self._arrays = {role: np.empty(self._capacity, ROLE_TYPES[role]) for role in columns}
            if "time" in columns:
                self._base, self._arrays["time"] = int(columns["time"][0]), np.empty(self._capacity, np.int32)
        n = self._n + len(columns["user"])
        for role, values in columns.items():
            if role == "time" and self._base is not None:
                values = self._offsets(values)
            array = self._arrays[role]
            if n > len(array):
                array.resize(n + n // 2, refcheck=False)
            array[self._n : n] = values
        self._n = n

    def _offsets(self, time: Times) -> Times:
        """Return times minus the first one; times that do not fit turn the whole column to int64 without a base."""
        assert self._base is not None
        if int(time.min()) - self._base >= -(2**31) and int(time.max()) - self._base < 2**31:
            return time - self._base
        wide = self._arrays["time"].astype(np.int64)
        wide[: self._n] += self._base
        self._arrays["time"], self._base = wide, None
        return time

    def take(self) -> dict[str, Any]:
        """Return the columns, shape (n,) each, and release them; times are packed where they fit."""
        arrays: dict[str, Any] = self._arrays
        self._arrays = {}
        for array in arrays.values():
            array.resize(self._n, refcheck=False)
        if self._base is not None:
            arrays["time"] = PackedTimes(self._base, 1, arrays["time"])
        return arrays


class FileBuffer:
    """Holds events in files, each for a range of item keys.

    Args:
        folder: A new folder for the files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._open = ExitStack()
        self._files: list[Any] = []
        self._dtype: np.dtype[Any] | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the columns that were added."""
        return () if self._dtype is None else tuple(self._dtype.names or ())

    def add(self, columns: Arrays, item_keys: Callable[[], Keys]) -> None:
        """Add a batch; see `EventBuffer`."""
        if self._dtype is None:
            self._dtype = np.dtype([(role, ROLE_TYPES[role]) for role in columns])
            self._files = [
                self._open.enter_context((self._folder / f"{part:03d}").open("wb", buffering=_WRITE_BUFFER))
                for part in range(_N_FILES)
            ]
        part = (item_keys() >> _FILE_SHIFT).astype(np.uint8)
        rows = np.argsort(part, kind="stable")
        records = np.empty(len(rows), self._dtype)
        for role, values in columns.items():
            records[role] = values[rows]
        bounds = np.searchsorted(part[rows], np.arange(_N_FILES + 1))
        for file, first, last in zip(self._files, bounds[:-1], bounds[1:], strict=True):
            if last > first:
                file.write(records[first:last].tobytes())

    def close(self) -> None:
        """Flush and close the files; no more events can be added."""
        self._open.close()

    def take(self, part: int) -> dict[str, Any]:
        """Return the columns of a range of item keys, shape (n,) each, and remove its file."""
        assert self._dtype is not None
        file = self._folder / f"{part:03d}"
        records = np.fromfile(file, self._dtype)
        file.unlink()
        return {role: np.ascontiguousarray(records[role]) for role in self.roles}


@dataclass(frozen=True, slots=True, eq=False)
class CollectedEvents:
    """Buffered events of a log, with what turns ids and times into codes and microseconds.

    Attributes:
        buffer: The events.
        user_code: Code of each distinct user of the log.
        item_code: Code of each distinct item of the log.
        time_unit: How the times are written; None without time.
    """

    buffer: MemoryBuffer | FileBuffer
    user_code: Codes
    item_code: Codes
    time_unit: TimeUnit | None

    def times(self, raw: Times | PackedTimes) -> Times | PackedTimes:
        """Return times in microseconds, or the plain order; overwrites `raw`."""
        assert self.time_unit is not None
        if isinstance(raw, PackedTimes):
            factor = factor_of(self.time_unit)
            if factor is None:
                return in_microseconds(raw[: len(raw)], self.time_unit)
            least = int(raw.numbers.min(initial=0))
            numbers = np.subtract(raw.numbers, np.int32(least), out=raw.numbers).view(np.uint32)
            return PackedTimes((raw.base + least) * factor, factor, numbers)
        return in_microseconds(raw, self.time_unit, in_place=True)


@dataclass(frozen=True, slots=True, eq=False)
class CollectedLog:
    """Events of a target log, or of all source logs, before they are in order.

    Attributes:
        logs: The events: a single entry for a target log, otherwise an entry per source domain.
        users: Ids of users.
        items: Ids of items.
        name: Name of the log.
        columns: The user's column names.
        schema: All columns of the user's log with their types; None where several logs are joined.
    """

    logs: Sequence[CollectedEvents]
    users: Vocabulary
    items: Vocabulary
    name: str
    columns: Columns
    schema: pa.Schema | None

    def roles(self) -> list[str]:
        """Return the roles that any of the logs has, in the order of `ROLE_TYPES`; none after events were taken."""
        return [role for role in ROLE_TYPES if any(role in log.buffer.roles for log in self.logs)]


def target_log(log: CollectedLog) -> EventLog:
    """Return a target log by (user, item, time, label, value, weight)."""
    (events,) = log.logs
    assert isinstance(events.buffer, MemoryBuffer)
    columns = events.buffer.take()
    time = pack_times(events.times(columns.pop("time"))) if "time" in columns else None
    user, item = Coded(columns.pop("user"), events.user_code), Coded(columns.pop("item"), events.item_code)
    ordered = arrange(user, item, len(log.users), time=time, columns=columns)
    return EventLog(
        log.name,
        log.users,
        log.items,
        order.group_numbers(ordered.start, 0),
        ordered.member,
        None if ordered.time is None else ordered.time[: len(ordered.member)],
        columns=log.columns,
        time_unit=events.time_unit,
        schema=log.schema,
        **ordered.columns,
    )


def source_log(log: CollectedLog, *, threads: int = 1) -> StoredLog:
    """Return the source logs as one log, in memory.

    Args:
        log: The events, in memory.
        threads: Threads to sort with; they do not change the result.
    """
    roles = log.roles()
    parts = [events.buffer.take() for events in log.logs if isinstance(events.buffer, MemoryBuffer)]
    ordered = _ordered_part(log, parts, roles, range(len(log.items)), threads)
    return _stored_log(log, ordered.start, {"user": ordered.member, "time": ordered.time, **ordered.columns})


def source_log_on_disk(log: CollectedLog, folder: Path) -> StoredLog:
    """Return the source logs as one log in files, sorted in a range of item keys at a time.

    Args:
        log: The events, in files.
        folder: Takes a file per role.
    """
    buffers = [events.buffer for events in log.logs if isinstance(events.buffer, FileBuffer)]
    roles = log.roles()
    files = {role: folder / role for role in roles if role != "item"}
    bounds = np.searchsorted(log.items.keys, np.arange(_N_FILES, dtype=np.uint64) << _FILE_SHIFT).tolist()
    starts, n = [np.zeros(1, np.int64)], 0
    for buffer in buffers:
        buffer.close()
    with ExitStack() as stack:
        out = {role: stack.enter_context(file.open("wb")) for role, file in files.items()}
        for part, (first, last) in enumerate(pairwise([*bounds, len(log.items)])):
            ordered = _ordered_part(log, [buffer.take(part) for buffer in buffers], roles, range(first, last))
            starts.append(ordered.start[1:] + n)
            n += len(ordered.member)
            out["user"].write(ordered.member.tobytes())
            if ordered.time is not None:
                out["time"].write(ordered.time[: len(ordered.member)].tobytes())
            for role, values in ordered.columns.items():
                out[role].write(values.tobytes())
    columns: dict[str, Any] = {role: FileColumn(file, np.dtype(ROLE_TYPES[role])) for role, file in files.items()}
    if "time" in columns:
        columns["time"] = PackedTimes(0, 1, columns["time"])
    return _stored_log(log, np.concatenate(starts), columns)


def _stored_log(log: CollectedLog, item_start: Int64, columns: Mapping[str, Any]) -> StoredLog:
    return StoredLog(
        log.name,
        log.users,
        log.items,
        item_start,
        columns=log.columns,
        time_unit=log.logs[0].time_unit,
        schema=log.schema,
        **columns,
    )


def _ordered_part(
    log: CollectedLog, parts: list[dict[str, Any]], roles: Sequence[str], items: range, threads: int = 1
) -> Arranged:
    """Order the events of a range of items; empties `parts`, the columns of each source log by role."""
    for columns, events in zip(parts, log.logs, strict=True):
        if "time" in columns:
            columns["time"] = events.times(columns["time"])
    if len(parts) == 1 and items.start == 0:  # item codes need no shift: no copy of users and items
        joined = parts.pop()
        user = Coded(joined.pop("user"), log.logs[0].user_code)
        item = Coded(joined.pop("item"), log.logs[0].item_code)
    else:
        for columns in parts:
            if "time" in columns:
                columns["time"] = columns["time"][: len(columns["user"])]
        user, item = _joined_codes(parts, log.logs, "user"), _joined_codes(parts, log.logs, "item", items.start)
        joined = {role: _joined_column(parts, role) for role in roles[2:]}
        parts.clear()
    time = pack_times(joined.pop("time")) if "time" in joined else None
    return arrange(item, user, len(items), time=time, columns=joined, threads=threads)


def _joined_codes(parts: Sequence[Arrays], logs: Sequence[CollectedEvents], role: str, first: int = 0) -> Coded:
    """Return the codes of the events of all logs, counted from `first`, as a column of its own."""
    codes = [
        (log.user_code if role == "user" else log.item_code)[part[role]] for part, log in zip(parts, logs, strict=True)
    ]
    joined = np.concatenate(codes) - np.int32(first)
    return Coded(joined, np.arange(int(joined.max(initial=-1)) + 1, dtype=np.int32))


def _joined_column(parts: Sequence[Arrays], role: str) -> npt.NDArray[Any]:
    """Return a role of all logs; logs without it get a neutral value."""
    return np.concatenate(
        [part[role] if role in part else np.full(len(part["user"]), _NEUTRAL[role], ROLE_TYPES[role]) for part in parts]
    )
