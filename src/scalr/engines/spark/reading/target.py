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
        categories: Categories of source items; None if they are not needed.
        entries: Entries of the inputs for the manifest.
        warnings: Plain sentences about weaknesses.
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
    item_table: ItemTable | None = None
    of_source: CategoryTable | None = None
    domains = tuple(source.name for source in sources)
    nothing = _no_items(sources, rules.as_text, domains)
    if request.items is not None:
        names = [name for name in dict.fromkeys((columns.item, *(source.columns.item for source in sources))) if name]
        collected = _collected(request.items)
        every = _items_of(collected, names, sources, rules.as_text, domains) if categories else nothing
        item_table, entry, more = read_items(collected, things, every, names, rules)
        entries.append(entry)
        warnings += more
        if categories:
            of_source = CategoryTable(every, *item_table.source_categories())
        item_table = replace(item_table, source=item_table.source.slice(0, 0))
    if request.item_columns:
        item_table = with_log_columns(item_table, table, columns, things, nothing, rules)
    return TargetInputs(log, item_table, of_source, tuple(entries), tuple(warnings))


def _collected(log: Any) -> Any:
    """Return a log as it is, or the rows of a Spark frame."""
    if not is_spark_frame(log):
        return log
    with no_pandas_warning():
        return log.toArrow()


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
        return _no_items(sources, as_text, domains)  # reading the table raises the error
    text = _text_items(sources, as_text)
    values = read_columns(table, [name], as_text=[name])[name]
    column = plain_column(name, table.name, values, is_untyped=table.format == "CSV")
    ids = read_ids(replace(column, values=column.values.drop_null()), as_text=text).distinct
    if pa.types.is_integer(ids.type) == text:
        return _no_items(sources, as_text, domains)
    return unify([ids] * len(domains), domains)[0]


def _traits_of(log: SourceFrame, as_text: bool) -> LogTraits:
    is_text = as_text or not pa.types.is_integer(log.types["user"])
    return LogTraits(log.title, is_text, log.columns.time or "", log.time_unit)


@dataclass(frozen=True, slots=True, eq=False)
class CategoryTable:
    """The category of source items, by id.

    Attributes:
        items: Ids of the item table, one vocabulary for all source domains.
        category: Shape (n,), codes of categories, -1 for none.
        n_categories: Number of categories.
    """

    items: Vocabulary
    category: Codes
    n_categories: int

    def rows_of(self, words: Vocabulary) -> Codes:
        """Return the row of `Laws` for each item of a part, shape (n,)."""
        row = np.full(len(words), self.n_categories, np.int32)
        for number in range(len(words.domains)):
            of_part = np.flatnonzero(words.domain == number)
            of_table = np.flatnonzero(self.items.domain == number)
            ids = self.items.ids.take(pa.array(of_table))
            index = pc.index_in(words.ids.take(pa.array(of_part)).cast(ids.type), value_set=ids)
            at = np.asarray(index.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
            category = np.where(at < 0, -1, self.category[of_table[np.maximum(at, 0)]] if len(of_table) else -1)
            row[of_part] = np.where(category < 0, self.n_categories, category)
        return row
