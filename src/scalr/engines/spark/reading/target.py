"""The target log and the item table, read on the driver by the local engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scalr.engines.spark.cluster.session import is_spark_frame, no_pandas_warning
from scalr.engines.spark.reading.source import LookedAt
from scalr.foundation import Codes, SchemaError
from scalr.logs import (
    Columns,
    EventLog,
    ItemTable,
    MemoryIntake,
    Read,
    ScannedLog,
    Vocabulary,
    find_columns,
    open_table,
    plain_column,
    read_columns,
    read_ids,
    read_items,
    scan,
    target_log,
    unify,
    with_log_columns,
)


@dataclass(frozen=True, slots=True, eq=False)
class ReadTarget:
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


def read_target(
    given: Any, items: Any, sources: list[LookedAt], general: Columns, special: Columns, *, time_unit: str | None,
    as_text: bool, drop_nulls: bool, item_columns: bool, categories: bool,
) -> ReadTarget:  # fmt: skip
    """Read the target log, and what the item table knows.

    Args:
        given: A path or frame as the local engine takes it, or a Spark frame, which is collected.
        items: Likewise, the item table; None for none.
        sources: The source logs, which the target's ids and times must fit.
        general: Names of columns in all logs.
        special: Names that differ in the target.
        time_unit: Unit of integer times; None guesses it.
        as_text: Read all ids as text.
        drop_nulls: Drop rows with nulls.
        item_columns: Add the log's columns that are functions of its items to the item table.
        categories: Whether the categories of source items are asked for.
    """
    table = open_table(_collected(given), "target")
    columns = find_columns(table, general, special)
    intake = MemoryIntake()
    scanned = scan(
        table, "target", "target", columns, intake, time_unit=time_unit, as_text=as_text, drop_nulls=drop_nulls,
        progress=None,
    )  # fmt: skip
    _check_together(sources, scanned, as_text)
    users, user_codes = unify([scanned.users])
    things, item_codes = unify([scanned.items])
    log = target_log(
        Read(intake, user_codes[0], item_codes[0], scanned.time_unit), users, things,
        name="target", columns=columns, schema=scanned.schema(),
    )  # fmt: skip
    entries: list[Mapping[str, Any]] = [scanned.entry]
    warnings = [f"{scanned.dropped:,} rows of the target had nulls and were dropped."] if scanned.dropped else []
    known: ItemTable | None = None
    of_source: CategoryTable | None = None
    domains = tuple(one.name for one in sources)
    nothing = _no_items(sources, as_text, domains)
    if items is not None:
        names = [name for name in dict.fromkeys((columns.item, *(one.columns.item for one in sources))) if name]
        collected = _collected(items)
        every = _items_of(collected, names, sources, as_text, domains) if categories else nothing
        known, entry, more = read_items(collected, things, every, names, as_text=as_text, drop_nulls=drop_nulls)
        entries.append(entry)
        warnings += more
        if categories:
            of_source = CategoryTable(every, *known.source_categories())
        known = replace(known, source=known.source.slice(0, 0))
    if item_columns:
        plain = [name for name in table.schema.names if name not in {own for _, own in columns.roles()}]
        known = with_log_columns(known, table, columns.item or "", plain, things, nothing, as_text=as_text)
    return ReadTarget(log, known, of_source, tuple(entries), tuple(warnings))


def _collected(given: Any) -> Any:
    if not is_spark_frame(given):
        return given
    with no_pandas_warning():
        return given.toArrow()


def _text_items(sources: list[LookedAt], as_text: bool) -> bool:
    return as_text or any(not pa.types.is_integer(one.types["item"]) for one in sources)


def _no_items(sources: list[LookedAt], as_text: bool, domains: tuple[str, ...]) -> Vocabulary:
    ids = pa.array([], pa.string() if _text_items(sources, as_text) else pa.int64())
    return Vocabulary(ids, np.zeros(0, np.uint64), np.zeros(0, np.int16), domains)


def _items_of(
    items: Any, names: list[str], sources: list[LookedAt], as_text: bool, domains: tuple[str, ...]
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


def _check_together(sources: list[LookedAt], goal: ScannedLog, as_text: bool) -> None:
    """Refuse logs whose users or times cannot be compared."""
    for log in sources:
        kinds = [as_text or not pa.types.is_integer(kind) for kind in (log.types["user"], goal.users.type)]
        if kinds[0] != kinds[1]:
            words = ["text" if is_text else "integers" for is_text in kinds]
            raise SchemaError(
                f"user ids are {words[0]} in {log.title} but {words[1]} in {goal.table.name}",
                expected="user ids of one type in all logs",
                fix="cast one of the columns, or read all ids as text with --ids string",
            )
        if (log.time_unit is None) != (goal.time_unit is None):
            with_time, without = (goal.table.name, log.title) if log.time_unit is None else (log.title, goal.table.name)
            raise SchemaError(
                f"{without} has no time column, but {with_time} has one",
                expected="a time column in all logs, or in none",
                fix="name it with --time COL, or pass an empty name to do without",
            )
        if log.time_unit and goal.time_unit and (log.time_unit.kind == "order") != (goal.time_unit.kind == "order"):
            plain, dated = (
                (log.title, goal.table.name) if log.time_unit.kind == "order" else (goal.table.name, log.title)
            )
            raise SchemaError(
                f"times of {plain} look like a plain order, those of {dated} like points in time",
                expected="times that can be compared",
                fix="name the unit of integer times with --time-unit s, ms, us, ns or order",
            )


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
