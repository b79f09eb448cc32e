"""Source logs by item, packed in memory or in files, of which ranges of items are expanded when asked for."""

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
from scalr.logs.source_counts import SourceTally, tally_of
from scalr.logs.tables.stamps import Stamp

PART_EVENTS = 1 << 20  # events expanded at a time where nothing else decides; 16 MB


@dataclass(frozen=True, slots=True)
class FileColumn:
    """A column in a file of plain numbers, of which ranges are read when asked for; threads may share it."""

    file: Path
    dtype: np.dtype[Any]

    def __getitem__(self, rows: slice) -> npt.NDArray[Any]:
        return np.fromfile(self.file, self.dtype, rows.stop - rows.start, offset=rows.start * self.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """Memory that the column takes."""
        return 0


@dataclass(frozen=True, slots=True, eq=False)
class StoredLog:
    """Source events by (item, user, time, label, value, weight); `part` gives those of a range of items as a log.

    Attributes:
        name: Name of the domain.
        users: Ids of users.
        items: Ids of items.
        item_start: Shape (n_items + 1,), where each item's events start.
        user: n codes, an array or a `FileColumn`; likewise the next four, which may be None.
        time: n times.
        label: n labels.
        value: n values.
        weight: n weights.
        columns: The user's names of the columns that were read.
        time_unit: How the user's time column is written; None without time.
        schema: All columns of the user's log with their types; None where several logs are one.
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
    def of(cls, log: EventLog) -> StoredLog:
        """Return a view of a source log."""
        start = np.zeros(len(log.items) + 1, np.int64)
        np.cumsum(np.bincount(log.item, minlength=len(log.items)), out=start[1:])
        time = None if log.time is None else PackedTimes(0, 1, log.time)
        return cls(
            log.name, log.users, log.items, start, log.user, time, log.label, log.value, log.weight, log.columns,
            log.time_unit, log.schema,
        )  # fmt: skip

    def __len__(self) -> int:
        return int(self.item_start[-1])

    @property
    def nbytes(self) -> int:
        """Memory that the events take, without the vocabularies."""
        columns = [self.user, self.label, self.value, self.weight, None if self.time is None else self.time.numbers]
        return int(self.item_start.nbytes + sum(column.nbytes for column in columns if column is not None))

    def part(self, first_item: int, last_item: int) -> EventLog:
        """Return all events of items [first_item, last_item)."""
        start = self.item_start[first_item : last_item + 1]
        rows = slice(int(start[0]), int(start[-1]))

        def chosen(column: Any) -> Any:
            return None if column is None else column[rows]

        return EventLog(
            name=self.name,
            users=self.users,
            items=self.items,
            user=self.user[rows],
            item=order.groups_of(start, first_item),
            time=chosen(self.time),
            label=chosen(self.label),
            value=chosen(self.value),
            weight=chosen(self.weight),
            columns=self.columns,
            time_unit=self.time_unit,
            schema=self.schema,
        )

    def parts(self, n_events: int = PART_EVENTS) -> Iterator[EventLog]:
        """Return all events, in parts of whole items with about `n_events` events each."""
        for first, last in item_ranges(self.item_start, n_events):
            yield self.part(first, last)

    def tally(self) -> SourceTally:
        """Count what the log holds, in one pass."""
        return tally_of(self.parts(), self.users, self.items)

    def whole(self) -> EventLog:
        """Return all events."""
        return self.part(0, len(self.items))


def item_ranges(item_start: Int64, n_events: int) -> Iterator[tuple[int, int]]:
    """Cut items into ranges [first, last) of about `n_events` events each; an item is never cut."""
    n_items, first = len(item_start) - 1, 0
    while first < n_items:
        last = int(np.searchsorted(item_start, item_start[first] + n_events, side="right")) - 1
        last = min(max(last, first + 1), n_items)
        if item_start[last] > item_start[first]:
            yield first, last
        first = last


@dataclass(frozen=True, slots=True, eq=False)
class StoredPair:
    """A pair of logs whose source is stored: what generation needs, however large the source is.

    Attributes:
        source: Events of all source domains together.
        target: Events of the target domain.
        tally: The source in numbers.
        items: Item table, or None.
        inputs: Per input file or frame: name, role, rows, digest; for the manifest.
        warnings: Plain sentences on what is weak in these logs.
        stamps: What the input files were like just before they were read.
    """

    source: StoredLog
    target: EventLog
    tally: SourceTally
    items: ItemTable | None = None
    inputs: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    stamps: tuple[Stamp, ...] = ()

    @classmethod
    def of(cls, pair: Pair) -> StoredPair:
        """Return a view of a pair."""
        source = StoredLog.of(pair.source)
        return cls(source, pair.target, source.tally(), pair.items, pair.inputs, pair.warnings)

    def load(self) -> Pair:
        """Return the pair with its source in memory."""
        return Pair(self.source.whole(), self.target, self.items, self.inputs, self.warnings)
