"""Source logs sorted by item, packed in memory or in files; ranges of items are expanded on demand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.foundation import Int64, order
from scalr.logs.event_log import EventLog, ItemTable, Pair, TimeUnit, Vocabulary
from scalr.logs.ordering import PackedTimes
from scalr.logs.schema import Columns
from scalr.logs.source_counts import SourceCounts, count_source_events
from scalr.logs.tables.stamps import Stamp

PART_EVENTS = 1 << 20  # events expanded at a time by default; 16 MB


@dataclass(frozen=True, slots=True)
class FileColumn:
    """A column in a file of raw numbers; slices are read on demand. Threads may share it."""

    file: Path
    dtype: np.dtype[Any]

    def __getitem__(self, rows: slice) -> npt.NDArray[Any]:
        return np.fromfile(self.file, self.dtype, rows.stop - rows.start, offset=rows.start * self.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """Return the bytes in memory, which are none."""
        return 0


@dataclass(frozen=True, slots=True, eq=False)
class StoredLog:
    """Source events by (item, user, time, label, value, weight); `part` returns a range of items as a log.

    Attributes:
        name: Name of the domain.
        users: Ids of users.
        items: Ids of items.
        item_start: Shape (n_items + 1,), offset of each item's first event.
        user: Shape (n,), codes, an array or a `FileColumn`; likewise the next four, which may be None.
        time: Shape (n,).
        label: Shape (n,), 0 or 1.
        value: Shape (n,).
        weight: Shape (n,).
        columns: The user's names of the columns that were read.
        time_unit: How the user's time column is written; None without time.
        schema: All columns of the user's log with their types; None where several logs are joined.
    """

    name: str
    users: Vocabulary
    items: Vocabulary
    item_start: Int64
    user: Any
    time: PackedTimes | None = None
    label: Any = None
    value: Any = None
    weight: Any = None
    columns: Columns = field(default_factory=Columns)
    time_unit: TimeUnit | None = None
    schema: pa.Schema | None = None

    @classmethod
    def from_log(cls, log: EventLog) -> StoredLog:
        """Return a view of a source log in memory."""
        start = np.zeros(len(log.items) + 1, np.int64)
        np.cumsum(np.bincount(log.item, minlength=len(log.items)), out=start[1:])
        time = None if log.time is None else PackedTimes(0, 1, log.time)
        return cls(
            name=log.name,
            users=log.users,
            items=log.items,
            item_start=start,
            user=log.user,
            time=time,
            label=log.label,
            value=log.value,
            weight=log.weight,
            columns=log.columns,
            time_unit=log.time_unit,
            schema=log.schema,
        )

    def __len__(self) -> int:
        return int(self.item_start[-1])

    @property
    def nbytes(self) -> int:
        """Return the bytes of the events in memory, without the vocabularies."""
        columns = [self.user, self.label, self.value, self.weight, None if self.time is None else self.time.numbers]
        return int(self.item_start.nbytes + sum(column.nbytes for column in columns if column is not None))

    def part(self, first_item: int, last_item: int) -> EventLog:
        """Return all events of items [first_item, last_item)."""
        start = self.item_start[first_item : last_item + 1]
        rows = slice(int(start[0]), int(start[-1]))

        def take(column: Any) -> Any:
            return None if column is None else column[rows]

        return EventLog(
            name=self.name,
            users=self.users,
            items=self.items,
            user=self.user[rows],
            item=order.group_numbers(start, first_item),
            time=take(self.time),
            label=take(self.label),
            value=take(self.value),
            weight=take(self.weight),
            columns=self.columns,
            time_unit=self.time_unit,
            schema=self.schema,
        )

    def parts(self, n_events: int = PART_EVENTS) -> Iterator[EventLog]:
        """Yield all events in parts of whole items with about `n_events` events each."""
        for first, last in item_ranges(self.item_start, n_events):
            yield self.part(first, last)

    def count_events(self) -> SourceCounts:
        """Count users, items and events in one pass."""
        return count_source_events(self.parts(), self.users, self.items)

    def whole(self) -> EventLog:
        """Return all events."""
        return self.part(0, len(self.items))


def item_ranges(item_start: Int64, n_events: int) -> Iterator[tuple[int, int]]:
    """Yield ranges [first, last) of items with about `n_events` events each; events of an item stay together."""
    n_items, first = len(item_start) - 1, 0
    while first < n_items:
        last = int(np.searchsorted(item_start, item_start[first] + n_events, side="right")) - 1
        last = min(max(last, first + 1), n_items)
        if item_start[last] > item_start[first]:
            yield first, last
        first = last


@dataclass(frozen=True, slots=True, eq=False)
class StoredPair:
    """A pair of logs whose source is stored: the input of generation, whatever the size of the source.

    Attributes:
        source: Events of all source domains together.
        target: Events of the target domain.
        source_counts: Counts of the source events.
        items: Item table, or None.
        inputs: Entries of the manifest, one per input: name, role, files, rows, digest.
        warnings: Sentences on weak points of the logs.
        stamps: State of the input files just before they were read.
    """

    source: StoredLog
    target: EventLog
    source_counts: SourceCounts
    items: ItemTable | None = None
    inputs: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    stamps: tuple[Stamp, ...] = ()

    @classmethod
    def from_pair(cls, pair: Pair | StoredPair) -> StoredPair:
        """Return a view of a pair in memory; a stored pair is returned as it is."""
        if isinstance(pair, StoredPair):
            return pair
        source = StoredLog.from_log(pair.source)
        return cls(source, pair.target, source.count_events(), pair.items, pair.inputs, pair.warnings)

    def load(self) -> Pair:
        """Return the pair with its source in memory."""
        return Pair(self.source.whole(), self.target, self.items, self.inputs, self.warnings)
