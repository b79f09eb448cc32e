"""Event logs as integer codes, and pairs of them: one target domain, one or more source domains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.foundation import Codes, Floats, Keys, SchemaError, Times, combine_keys, event_keys
from scalr.logs.schema import Columns


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Distinct ids in canonical order; an id's position is its code.

    The order is that of `keys`, which are hashes of the ids themselves (and of the domain's name for source
    items). It never depends on the place of an id in a file.

    Attributes:
        ids: Shape (n,), int64 or string.
        keys: Shape (n,), uint64, ascending.
        domain: Shape (n,), index into `domains`; zeros for users and target items.
        domains: Names of the domains the ids come from.
    """

    ids: pa.Array
    keys: Keys
    domain: npt.NDArray[np.int16]
    domains: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class TimeUnit:
    """How the user's time column is written, so that it can be written back.

    Attributes:
        kind: "order" (a plain order, compared as it is), "integer" (since 1970, in `unit`), "date" or "timestamp".
        unit: "s", "ms", "us" or "ns"; empty for "order" and "date".
        type: The Arrow type of the user's column.
    """

    kind: str
    unit: str
    type: pa.DataType


@dataclass(frozen=True, slots=True, eq=False)
class EventLog:
    """Events of one domain (or of all source domains together) as codes.

    Rows stand in canonical order: target events by (user, item, time, label, value, weight), source events by (item,
    user, time, label, value, weight). Arrays are read-only by convention; steps return new logs.

    Attributes:
        name: Name of the domain, "source" or "target" unless the user gave one.
        users: Ids of users; one vocabulary for all logs of a pair.
        items: Ids of items.
        user: Shape (n,), codes into `users`.
        item: Shape (n,), codes into `items`.
        time: Shape (n,), microseconds since 1970 in UTC, or the plain order; None where the log has no time.
        label: Shape (n,), 0 or 1; None where every event is positive.
        value: Shape (n,), the event's value; None where the log has none.
        weight: Shape (n,), at least 0; None where every event weighs 1.
        columns: The user's names of the columns that were read.
        time_unit: How the user's time column is written; None without time.
        schema: All columns of the user's log with their types, in their order.
    """

    name: str
    users: Vocabulary
    items: Vocabulary
    user: Codes
    item: Codes
    time: Times | None = None
    label: npt.NDArray[np.int8] | None = None
    value: Floats | None = None
    weight: npt.NDArray[np.float32] | None = None
    columns: Columns = field(default_factory=Columns)
    time_unit: TimeUnit | None = None
    schema: pa.Schema | None = None

    def __len__(self) -> int:
        return len(self.user)

    def take(self, keep: npt.NDArray[np.bool_]) -> EventLog:
        """Return the events where `keep`, shape (n,), is true; codes and order stay."""

        def chosen(column: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
            return None if column is None else column[keep]

        return replace(
            self,
            user=self.user[keep],
            item=self.item[keep],
            time=chosen(self.time),
            label=chosen(self.label),
            value=chosen(self.value),
            weight=chosen(self.weight),
        )

    def starts_interaction(self) -> npt.NDArray[np.bool_]:
        """Say for each event, shape (n,), whether it is the first of its (user, item)."""
        new = np.ones(len(self), np.bool_)
        new[1:] = (self.user[1:] != self.user[:-1]) | (self.item[1:] != self.item[:-1])
        return new

    def positives(self) -> EventLog:
        """Return the events with label 1; the log itself where it has no labels."""
        return self if self.label is None else self.take(self.label == 1)

    def keys(self, first: int = 0, last: int | None = None) -> Keys:
        """Return a stable 64-bit key per event: of user, item, time and the number among equal events.

        Args:
            first: First event whose key is asked for.
            last: Its end; all from `first` on if None.

        Returns:
            Shape (last - first,).
        """
        last = len(self) if last is None else last
        time = np.empty(0, np.int64) if self.time is None else self.time
        positive = np.empty(0, np.bool_) if self.label is None else self.label == 1
        return event_keys(self.user, self.item, time, positive, self.users.keys, self.items.keys, first, last)

    def digest(self) -> int:
        """Return a number that changes with any event, whatever the order of the rows."""
        rows = self.keys()
        for column in (self.value, self.weight):
            if column is not None:
                rows = combine_keys(rows, column.astype(np.float64).view(np.uint64))
        return int(np.sum(rows, dtype=np.uint64))

    def last_time(self) -> int | None:
        """Return the latest time, or None without time or events."""
        return None if self.time is None or not len(self.time) else int(self.time.max())


def has_events(log: EventLog) -> npt.NDArray[np.bool_]:
    """Say for each user of the vocabulary, shape (n_users,), whether it has an event in the log."""
    return np.bincount(log.user, minlength=len(log.users)) > 0


@dataclass(frozen=True, slots=True, eq=False)
class ItemTable:
    """What is known about items, joined to the vocabularies of a pair.

    Attributes:
        target: One row per target item code; columns of the user's item table, null where it lacks the item.
        source: One row per source item code, likewise.
        item_column: Name of the item id column in the user's item table.
    """

    target: pa.Table
    source: pa.Table
    item_column: str

    def title_column(self) -> str | None:
        """Return the column to show an item by: title, name, product_type or category, whichever comes first."""
        for name in ("title", "name", "product_name", "product_type", "description", "category"):
            if name in self.target.column_names:
                return name
        return None

    def source_categories(self) -> tuple[Codes, int]:
        """Return the category of each source item and how many there are.

        The column `category` tells, in any spelling of capitals. A name that several source domains use is one
        category.

        Returns:
            Shape (n_source_items,), codes from 0 on, -1 where the table has none; and the number of codes.

        Raises:
            SchemaError: If the column holds lists or other nested values.
        """
        name = next((name for name in self.source.column_names if name.lower() == "category"), None)
        if name is None:
            return np.full(self.source.num_rows, -1, np.int32), 0
        column = self.source[name]
        if pa.types.is_nested(column.type):
            raise SchemaError(
                f"column '{name}' of the item table holds {column.type}, which names no single category",
                expected="one category per item",
                fix="keep the most telling one of each item, or leave --backoff out",
            )
        coded = column.combine_chunks().dictionary_encode()
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        return codes, len(coded.dictionary)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One target log and its source log(s), with shared users.

    Attributes:
        source: Events of all source domains together; `source.items.domain` says which is whose.
        target: Events of the target domain.
        items: Item table, or None.
        inputs: Per input file or frame: name, role, rows, digest; for the manifest.
        warnings: Plain sentences on what is weak in these logs.
    """

    source: EventLog
    target: EventLog
    items: ItemTable | None = None
    inputs: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def overlap_users(self) -> Codes:
        """Codes of users with at least one positive event in both domains, ascending."""
        both = has_events(self.source.positives()) & has_events(self.target.positives())
        return np.flatnonzero(both).astype(np.int32)


def catalogue_of(target: EventLog) -> Codes:
    """Return the codes of items with at least one positive event, ascending: what can be drawn or ranked."""
    taken = np.bincount(target.positives().item, minlength=len(target.items))
    return np.flatnonzero(taken).astype(np.int32)
