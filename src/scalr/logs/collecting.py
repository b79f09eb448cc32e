"""Collect events as they are read, in memory or in files by source item, and turn them into logs in canonical order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from scalr.foundation import Codes, Keys, Times, order
from scalr.logs.event_log import EventLog, TimeUnit, Vocabulary
from scalr.logs.ordering import Coded, PackedTimes, arrange, pack_times
from scalr.logs.readers.times import in_microseconds
from scalr.logs.stored import FileColumn, StoredLog
from scalr.logs.times import factor_of

Arrays = Mapping[str, npt.NDArray[Any]]
KINDS: dict[str, Any] = {
    "user": np.int32,
    "item": np.int32,
    "time": np.int64,
    "label": np.int8,
    "value": np.float64,
    "weight": np.float32,
}
"""What events are held as, by role; user and item as places among the log's distinct ids."""

_NEUTRAL = {"label": 1, "value": np.nan, "weight": 1}  # of a log without the column, beside one that has it
_SPLIT_BITS = 8  # 256 files: at a billion events 4 million each
_LARGEST_ROOM = 1 << 27  # rows that room is made for on the word of a file, whose footer may be wrong
_BUFFER = 1 << 16  # bytes per file that wait to be written


class Intake(Protocol):
    """Takes events in batches."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the columns that were added."""

    def add(self, columns: Arrays, item_keys: Callable[[], Keys]) -> None:
        """Take a batch.

        Args:
            columns: Arrays of shape (n,) by role, of `KINDS`.
            item_keys: Gives the keys of the items, shape (n,), as the vocabulary will have them.
        """


class MemoryIntake:
    """Holds events in arrays that grow in place; times as differences from the first one, while four bytes suffice.

    Args:
        expected: Rows to come, if that is known.
    """

    def __init__(self, expected: int | None = None) -> None:
        self._room = min(expected or 1 << 16, _LARGEST_ROOM)
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        self._n = 0
        self._base: int | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the columns that were added."""
        return tuple(self._arrays)

    def add(self, columns: Arrays, item_keys: Callable[[], Keys]) -> None:
        """Take a batch; see `Intake`."""
        if not self._arrays:
            self._arrays = {role: np.empty(self._room, KINDS[role]) for role in columns}
            if "time" in columns:
                self._base, self._arrays["time"] = int(columns["time"][0]), np.empty(self._room, np.int32)
        n = self._n + len(columns["user"])
        for role, values in columns.items():
            if role == "time" and self._base is not None:
                values = self._difference(values)
            array = self._arrays[role]
            if n > len(array):
                array.resize(n + n // 2, refcheck=False)
            array[self._n : n] = values
        self._n = n

    def _difference(self, time: Times) -> Times:
        """Return times less the first one; from the first on that are too far apart for that, all as they are."""
        assert self._base is not None
        if int(time.min()) - self._base >= -(2**31) and int(time.max()) - self._base < 2**31:
            return time - self._base
        wide = self._arrays["time"].astype(np.int64)
        wide[: self._n] += self._base
        self._arrays["time"], self._base = wide, None
        return time

    def take(self) -> dict[str, Any]:
        """Return the columns, shape (n,) each, and let go of them; times are packed where they fit."""
        arrays: dict[str, Any] = self._arrays
        self._arrays = {}
        for array in arrays.values():
            array.resize(self._n, refcheck=False)
        if self._base is not None:
            arrays["time"] = PackedTimes(self._base, 1, arrays["time"])
        return arrays


class FileIntake:
    """Holds events in files, one per range of item keys.

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
        """Take a batch; see `Intake`."""
        if self._dtype is None:
            self._dtype = np.dtype([(role, KINDS[role]) for role in columns])
            self._files = [
                self._open.enter_context((self._folder / f"{part:03d}").open("wb", buffering=_BUFFER))
                for part in range(1 << _SPLIT_BITS)
            ]
        part = (item_keys() >> np.uint64(64 - _SPLIT_BITS)).astype(np.uint8)
        rows = np.argsort(part, kind="stable")
        records = np.empty(len(rows), self._dtype)
        for role, values in columns.items():
            records[role] = values[rows]
        bounds = np.searchsorted(part[rows], np.arange(len(self._files) + 1))
        for file, first, last in zip(self._files, bounds[:-1], bounds[1:], strict=True):
            if last > first:
                file.write(records[first:last].tobytes())

    def close(self) -> None:
        """Write what waits; no more events can be added."""
        self._open.close()

    def take(self, part: int) -> npt.NDArray[Any]:
        """Return the events of one range of item keys as records, and remove their file."""
        assert self._dtype is not None
        file = self._folder / f"{part:03d}"
        records = np.fromfile(file, self._dtype)
        file.unlink()
        return records


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """Events of one log as collected, and what turns places and numbers into codes and times.

    Attributes:
        intake: The events.
        user_code: Code of each distinct user of the log.
        item_code: Code of each distinct item of the log.
        time_unit: How the log's times are written; None without time.
    """

    intake: MemoryIntake | FileIntake
    user_code: Codes
    item_code: Codes
    time_unit: TimeUnit | None

    def times(self, raw: Times | PackedTimes) -> Times | PackedTimes:
        """Return times in microseconds, or the plain order; `raw` is overwritten."""
        assert self.time_unit is not None
        if isinstance(raw, PackedTimes):
            factor = factor_of(self.time_unit)
            if factor is None:
                return in_microseconds(raw[: len(raw)], self.time_unit)
            least = int(raw.numbers.min(initial=0))
            numbers = np.subtract(raw.numbers, np.int32(least), out=raw.numbers).view(np.uint32)
            return PackedTimes((raw.base + least) * factor, factor, numbers)
        return in_microseconds(raw, self.time_unit, in_place=True)


def target_log(read: Read, users: Vocabulary, items: Vocabulary, **facts: Any) -> EventLog:
    """Return a target log by (user, item, time, label, value, weight)."""
    assert isinstance(read.intake, MemoryIntake)
    columns = read.intake.take()
    time = pack_times(read.times(columns.pop("time"))) if "time" in columns else None
    user, item = Coded(columns.pop("user"), read.user_code), Coded(columns.pop("item"), read.item_code)
    done = arrange(user, item, len(users), time=None if time is None else pack_times(time), columns=columns)
    times = None if done.time is None else done.time[: len(done.member)]
    return EventLog(
        users=users, items=items, user=order.groups_of(done.start, 0), item=done.member, time=times,
        time_unit=read.time_unit, **done.columns, **facts,
    )  # fmt: skip


def source_log(reads: Sequence[Read], users: Vocabulary, items: Vocabulary, *, threads: int, **facts: Any) -> StoredLog:
    """Return source logs as one, in memory."""
    roles = _roles(reads)
    parts: list[dict[str, Any]] = [read.intake.take() for read in reads if isinstance(read.intake, MemoryIntake)]
    for part, read in zip(parts, reads, strict=True):
        if "time" in part:
            part["time"] = read.times(part["time"])
    if len(reads) == 1:
        joined = parts[0]
        user = Coded(joined.pop("user"), reads[0].user_code)
        item = Coded(joined.pop("item"), reads[0].item_code)
    else:
        user, item = (_coded(parts, reads, role) for role in ("user", "item"))
        for part in parts:
            if "time" in part:
                part["time"] = part["time"][: len(part["user"])]
        joined = {role: _filled(parts, role) for role in roles[2:]}
    del parts
    time = pack_times(joined.pop("time")) if "time" in joined else None
    done = arrange(item, user, len(items), time=time, columns=joined, threads=threads)
    return StoredLog(
        users=users, items=items, item_start=done.start, user=done.member, time=done.time,
        time_unit=reads[0].time_unit, **done.columns, **facts,
    )  # fmt: skip


def source_log_on_disk(
    reads: Sequence[Read], users: Vocabulary, items: Vocabulary, folder: Path, **facts: Any
) -> StoredLog:
    """Return source logs as one, in files of `folder`: ranges of item keys are sorted one after another."""
    roles = _roles(reads)
    files = {role: folder / role for role in roles if role != "item"}
    starts, n = [np.zeros(1, np.int64)], 0
    with ExitStack() as stack:
        for read in reads:
            assert isinstance(read.intake, FileIntake)
            read.intake.close()
        out = {role: stack.enter_context(file.open("wb")) for role, file in files.items()}
        bounds = np.searchsorted(
            items.keys, np.arange(1 << _SPLIT_BITS, dtype=np.uint64) << np.uint64(64 - _SPLIT_BITS)
        )
        bounds = np.append(bounds, len(items))
        for part in range(1 << _SPLIT_BITS):
            records = [read.intake.take(part) for read in reads if isinstance(read.intake, FileIntake)]
            first, last = int(bounds[part]), int(bounds[part + 1])
            given: list[dict[str, Any]] = [
                {role: np.ascontiguousarray(one[role]) for role in one.dtype.names or ()} for one in records
            ]
            del records
            for one, read in zip(given, reads, strict=True):
                if "time" in one:
                    one["time"] = read.times(one["time"])
            user, item = (_coded(given, reads, role, -first if role == "item" else 0) for role in ("user", "item"))
            joined = {role: _filled(given, role) for role in roles[2:]}
            del given
            time = pack_times(joined.pop("time")) if "time" in joined else None
            done = arrange(item, user, last - first, time=time, columns=joined)
            starts.append(done.start[1:] + n)
            n += len(done.member)
            out["user"].write(done.member.tobytes())
            if done.time is not None:
                out["time"].write(done.time[: len(done.member)].tobytes())
            for role, values in done.columns.items():
                out[role].write(values.tobytes())
    stored: dict[str, Any] = {role: FileColumn(file, np.dtype(KINDS[role])) for role, file in files.items()}
    time_column = stored.pop("time", None)
    return StoredLog(
        users=users, items=items, item_start=np.concatenate(starts), user=stored.pop("user"),
        time=None if time_column is None else PackedTimes(0, 1, time_column),
        time_unit=reads[0].time_unit, **stored, **facts,
    )  # fmt: skip


def _roles(reads: Sequence[Read]) -> list[str]:
    """Return the roles that any of the logs has, in the order of `KINDS`: user and item come first."""
    return [role for role in KINDS if any(role in read.intake.roles for read in reads)]


def _coded(parts: Sequence[Arrays], reads: Sequence[Read], role: str, shift: int = 0) -> Coded:
    """Return the codes of several logs' events, `shift` added, as one column that is its own place."""
    codes = [
        (read.user_code if role == "user" else read.item_code)[part[role]]
        for part, read in zip(parts, reads, strict=True)
    ]
    joined = np.concatenate(codes) + np.int32(shift)
    return Coded(joined, np.arange(int(joined.max(initial=-1)) + 1, dtype=np.int32))


def _filled(parts: Sequence[Arrays], role: str) -> npt.NDArray[Any]:
    """Return one role of several logs; those without it get what is neutral."""
    return np.concatenate(
        [part[role] if role in part else np.full(len(part["user"]), _NEUTRAL[role], KINDS[role]) for part in parts]
    )
