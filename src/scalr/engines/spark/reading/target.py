"""The target log and the item table, read on the driver by the local engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scalr.engines.spark.cluster.session import is_spark_frame, no_pandas_warning
from scalr.engines.spark.reading.source import SourceFrame
from scalr.foundation import Codes
from scalr.logs import (
    CollectedEvents,
    CollectedLog,
    EventLog,
    ItemTable,
    LogRequest,
    LogTraits,
    MemoryBuffer,
    Vocabulary,
    find_columns,
    open_table,
    plain_column,
    read_columns,
    read_ids,
    read_items,
    refuse_unlike_logs,
    scan,
    target_log,
    unify,
    with_log_columns,
)


@dataclass(frozen=True, slots=True, eq=False)
class TargetInputs:
    """The target log with its item table.

    Attributes:
        log: The events; its users are those of this log alone.
        items: The item table of target items; None without.
        categories: Categories of source items; None where they are not asked for.
        entries: What the manifest says of the inputs.
        warnings: Plain sentences on what is weak.
    """

    log: EventLog
    items: ItemTable | None
    categories: CategoryTable | None
    entries: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...]


def read_target(request: LogRequest, sources: list[SourceFrame], *, categories: bool) -> TargetInputs:
    """Read the target log and the item table.

    Args:
        request: The logs, of which frames of Spark are collected.
        sources: The source logs, which the target's ids and times must match.
        categories: Whether to read the categories of source items.
    """
    rules = request.rules
    table = open_table(_collected(request.target), "target")
    columns = find_columns(table, *request.columns_of("target"))
    scanned = scan(table, "target", columns, MemoryBuffer(), rules)
    refuse_unlike_logs([_traits_of(log, rules.as_text) for log in sources], scanned.traits())
    users, user_codes = unify([scanned.users])
    things, item_codes = unify([scanned.items])
    events = CollectedEvents(scanned.buffer, user_codes[0], item_codes[0], scanned.time_unit)
    log = target_log(CollectedLog([events], users, things, "target", columns, scanned.schema()))
    entries: list[Mapping[str, Any]] = [scanned.entry]
    warnings = [f"{scanned.dropped:,} rows of the target had nulls and were dropped."] if scanned.dropped else []
    known: ItemTable | None = None
    of_source: CategoryTable | None = None
    domains = tuple(one.name for one in sources)
    nothing = _no_items(sources, rules.as_text, domains)
    if request.items is not None:
        names = [name for name in dict.fromkeys((columns.item, *(one.columns.item for one in sources))) if name]
        collected = _collected(request.items)
        every = _items_of(collected, names, sources, rules.as_text, domains) if categories else nothing
        known, entry, more = read_items(collected, things, every, names, rules)
        entries.append(entry)
        warnings += more
        if categories:
            of_source = CategoryTable(every, *known.source_categories())
        known = replace(known, source=known.source.slice(0, 0))
    if request.item_columns:
        known = with_log_columns(known, table, columns, things, nothing, rules)
    return TargetInputs(log, known, of_source, tuple(entries), tuple(warnings))


def _collected(given: Any) -> Any:
    if not is_spark_frame(given):
        return given
    with no_pandas_warning():
        return given.toArrow()


def _text_items(sources: list[SourceFrame], as_text: bool) -> bool:
    return as_text or any(not pa.types.is_integer(one.types["item"]) for one in sources)


def _no_items(sources: list[SourceFrame], as_text: bool, domains: tuple[str, ...]) -> Vocabulary:
    ids = pa.array([], pa.string() if _text_items(sources, as_text) else pa.int64())
    return Vocabulary(ids, np.zeros(0, np.uint64), np.zeros(0, np.int16), domains)


def _items_of(
    items: Any, names: list[str], sources: list[SourceFrame], as_text: bool, domains: tuple[str, ...]
) -> Vocabulary:
    """Return all ids of the item table as if they were items of every source domain."""
    table = open_table(items, "items")
    lower = {name.lower(): name for name in table.schema.names}
    name = next((lower[one.lower()] for one in names if one.lower() in lower), None)
    if name is None:
        return _no_items(sources, as_text, domains)  # reading the table says what is wrong
    text = _text_items(sources, as_text)
    values = read_columns(table, [name], as_text=[name])[name]
    column = plain_column(name, table.name, values, is_untyped=table.format == "CSV")
    found = read_ids(replace(column, values=column.values.drop_null()), as_text=text).distinct
    if pa.types.is_integer(found.type) == text:
        return _no_items(sources, as_text, domains)
    return unify([found] * len(domains), domains)[0]


def _traits_of(log: SourceFrame, as_text: bool) -> LogTraits:
    is_text = as_text or not pa.types.is_integer(log.types["user"])
    return LogTraits(log.title, is_text, log.columns.time or "", log.time_unit)


@dataclass(frozen=True, slots=True, eq=False)
class CategoryTable:
    """The category of source items, by id.

    Attributes:
        items: Ids of the item table, one vocabulary for all source domains.
        category: Shape (n,), codes, -1 for none.
        n_categories: How many there are.
    """

    items: Vocabulary
    category: Codes
    n_categories: int

    def rows_of(self, words: Vocabulary) -> Codes:
        """Return the row of `Laws` for each item of a part, shape (n,)."""
        row = np.full(len(words), self.n_categories, np.int32)
        for number in range(len(words.domains)):
            mine = np.flatnonzero(words.domain == number)
            theirs = np.flatnonzero(self.items.domain == number)
            ids = self.items.ids.take(pa.array(theirs))
            found = pc.index_in(words.ids.take(pa.array(mine)).cast(ids.type), value_set=ids)
            at = np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
            category = np.where(at < 0, -1, self.category[theirs[np.maximum(at, 0)]] if len(theirs) else -1)
            row[mine] = np.where(category < 0, self.n_categories, category)
        return row
