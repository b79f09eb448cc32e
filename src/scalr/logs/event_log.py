"""Event logs as integer codes, and pairs of logs: a target domain and one or more source domains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.foundation import Codes, Floats, Keys, Mask, SchemaError, Times, combine_keys, event_keys
from scalr.logs.schema import Columns


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Distinct ids in canonical order; the position of an id is its code.

    Ids are sorted by `keys`, which are hashes of the ids (and of the domain name for source items). The order does not
    depend on the order of the rows.

    Attributes:
        ids: Shape (n,), int64 or string.
        keys: Shape (n,), uint64, ascending.
        domain: Shape (n,), index into `domains`; zeros for users and target items.
        domains: Names of the source domains; a single empty name for users and target items.
    """

    ids: pa.Array
    keys: Keys
    domain: npt.NDArray[np.int16]
    domains: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class TimeUnit:
    """Format of the user's time column, so that synthetic events are written alike.

    Attributes:
        kind: "order" (numbers without a unit), "integer" (since 1970, in `unit`), "date" or "timestamp".
        unit: "s", "ms", "us" or "ns"; empty for "order" and "date".
        type: The Arrow type of the user's column.
    """

    kind: str
    unit: str
    type: pa.DataType


@dataclass(frozen=True, slots=True, eq=False)
class EventLog:
    """Events of one domain (or of all source domains together) as codes.

    Rows are in canonical order: target events by (user, item, time, label, value, weight), source events by (item,
    user, time, label, value, weight). Arrays are read-only by convention; methods return new logs.

    Attributes:
        name: Name of the domain, "source" or "target" by default.
        users: Ids of users; all logs of a pair share a vocabulary.
        items: Ids of items.
        user: Shape (n,), codes into `users`.
        item: Shape (n,), codes into `items`.
        time: Shape (n,), microseconds since 1970 in UTC, or the plain order; None if the log has no time.
        label: Shape (n,), 0 or 1; None if every event is positive.
        value: Shape (n,), the event's value; None if the log has no values.
        weight: Shape (n,), at least 0; None if every event has weight 1.
        columns: The user's column names.
        time_unit: Format of the user's time column; None without time.
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

    def take(self, keep: Mask) -> EventLog:
        """Return the events where `keep`, shape (n,), is true; codes and order do not change."""

        def selected(column: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
            return None if column is None else column[keep]

        return replace(
            self,
            user=self.user[keep],
            item=self.item[keep],
            time=selected(self.time),
            label=selected(self.label),
            value=selected(self.value),
            weight=selected(self.weight),
        )

    def starts_interaction(self) -> Mask:
        """Return for each event, shape (n,), whether it is the first event of its (user, item)."""
        is_first = np.ones(len(self), np.bool_)
        is_first[1:] = (self.user[1:] != self.user[:-1]) | (self.item[1:] != self.item[:-1])
        return is_first

    def positives(self) -> EventLog:
        """Return the events with label 1, or the log itself if it has no labels."""
        return self if self.label is None else self.take(self.label == 1)

    def keys(self, first: int = 0, last: int | None = None) -> Keys:
        """Return a stable 64-bit key per event: a hash of user, item, time and a counter of equal events.

        Args:
            first: First event.
            last: End of the events; the end of the log if None.

        Returns:
            Shape (last - first,).
        """
        last = len(self) if last is None else last
        time = np.empty(0, np.int64) if self.time is None else self.time
        positive = np.empty(0, np.bool_) if self.label is None else self.label == 1
        return event_keys(self.user, self.item, time, positive, self.users.keys, self.items.keys, first, last)

    def digest(self) -> int:
        """Return a hash of all events that does not depend on the order of the rows."""
        rows = self.keys()
        for column in (self.value, self.weight):
            if column is not None:
                rows = combine_keys(rows, column.astype(np.float64).view(np.uint64))
        return int(np.sum(rows, dtype=np.uint64))

    def last_time(self) -> int | None:
        """Return the latest time, or None without time or events."""
        return None if self.time is None or not len(self.time) else int(self.time.max())


def has_events(log: EventLog) -> Mask:
    """Return for each user of the vocabulary, shape (n_users,), whether the log has an event of the user."""
    return np.bincount(log.user, minlength=len(log.users)) > 0


@dataclass(frozen=True, slots=True, eq=False)
class ItemTable:
    """Columns that describe items, joined to the item codes of a pair.

    Attributes:
        target: A row per target item, by code; null where the user's item table lacks the item.
        source: A row per source item, by code, likewise.
        item_column: Name of the item id column in the user's item table.
    """

    target: pa.Table
    source: pa.Table
    item_column: str

    def title_column(self) -> str | None:
        """Return the column to show items by: the first of title, name, product_type, category and similar ones."""
        for name in ("title", "name", "product_name", "product_type", "description", "category"):
            if name in self.target.column_names:
                return name
        return None

    def source_categories(self) -> tuple[Codes, int]:
        """Return the category of each source item, and the number of categories.

        Categories are read from the column `category`, in any case. Equal names in several source domains are the same
        category.

        Returns:
            Codes from 0, shape (n_source_items,), -1 for items without a category; and the number of categories.

        Raises:
            SchemaError: If the column holds lists or other nested values.
        """
        name = next((name for name in self.source.column_names if name.lower() == "category"), None)
        if name is None:
            return np.full(self.source.num_rows, -1, np.int32), 0
        column = self.source[name]
        if pa.types.is_nested(column.type):
            raise SchemaError(
                f"column '{name}' of the item table holds {column.type}, which is not a single category",
                expected="one category per item",
                fix="keep the most specific category of each item, or omit --backoff",
            )
        coded = column.combine_chunks().dictionary_encode()
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        return codes, len(coded.dictionary)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A target log and its source logs, with shared users.

    Attributes:
        source: Events of all source domains together; `source.items.domain` is the domain of each item.
        target: Events of the target domain.
        items: Item table, or None.
        inputs: Entries of the manifest, one per input: name, role, files, rows, digest.
        warnings: Sentences on weak points of the logs.
    """

    source: EventLog
    target: EventLog
    items: ItemTable | None = None
    inputs: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def overlap_users(self) -> Codes:
        """Return the codes of users with at least one positive event in both domains, ascending."""
        both = has_events(self.source.positives()) & has_events(self.target.positives())
        return np.flatnonzero(both).astype(np.int32)


def catalogue_of(target: EventLog) -> Codes:
    """Return the codes of items with at least one positive event, ascending: the items that can be drawn or ranked."""
    taken = np.bincount(target.positives().item, minlength=len(target.items))
    return np.flatnonzero(taken).astype(np.int32)
