"""Read one log: its events batch by batch into a buffer, its distinct ids, and checks of its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.foundation import Advance, Keys, Mask, combine_keys
from scalr.logs.collecting import FileBuffer, MemoryBuffer
from scalr.logs.column_roles import OPTIONAL
from scalr.logs.event_log import TimeUnit
from scalr.logs.log_request import ReadRules
from scalr.logs.readers.column import Column, Misfits, plain_column
from scalr.logs.readers.ids import IdReader, check_id_type
from scalr.logs.readers.numbers import LabelReader, NumberReader, check_flag, count_true
from scalr.logs.readers.times import TimeReader
from scalr.logs.refusals import LogTraits, RowCounts, refuse_generated_log, refuse_rows, synthetic_flag
from scalr.logs.schema import Columns
from scalr.logs.tables.digests import files_digest, table_digest
from scalr.logs.tables.open_table import Tabular, read_batches, read_columns
from scalr.logs.vocabulary import domain_key


@dataclass(frozen=True, slots=True, eq=False)
class ScannedLog:
    """A log as read, before its ids have codes.

    Attributes:
        name: Name of the domain.
        table: Files or frame that the log was read from.
        columns: Column of every role; "" for none.
        buffer: The events; users and items are positions in `users` and `items`.
        users: Distinct user ids.
        items: Distinct item ids.
        time_unit: How the times are written; None without time.
        entry: Entry of the log in the manifest.
        dropped: Rows with nulls that were dropped.
    """

    name: str
    table: Tabular
    columns: Columns
    buffer: MemoryBuffer | FileBuffer
    users: pa.Array
    items: pa.Array
    time_unit: TimeUnit | None
    entry: Mapping[str, Any]
    dropped: int

    def schema(self) -> pa.Schema:
        """Return the user's schema; columns of a CSV file have the types that were inferred while reading."""
        schema = self.table.schema
        if self.table.format != "CSV":
            return schema
        types = {self.columns.user: self.users.type, self.columns.item: self.items.type}
        if self.time_unit is not None:
            types[self.columns.time] = self.time_unit.type
        for name, type_ in types.items():
            place = schema.get_field_index(name)
            schema = schema.set(place, pa.field(name, pa.string() if pa.types.is_large_string(type_) else type_))
        return schema

    def traits(self) -> LogTraits:
        """Return the properties in which all logs of a pair must agree."""
        return LogTraits(
            title=self.table.name,
            text_users=not pa.types.is_integer(self.users.type),
            time_column=self.columns.time or "",
            time_unit=self.time_unit,
            user_ids=self.users,
        )


def scan(
    table: Tabular,
    name: str,
    columns: Columns,
    buffer: MemoryBuffer | FileBuffer,
    rules: ReadRules,
    progress: Advance | None = None,
) -> ScannedLog:
    """Read a log into `buffer`.

    Args:
        table: Files or frame to read.
        name: "target", or the name of a source domain.
        columns: Column of every role; "" for none.
        buffer: Takes the events.
        rules: How values are converted.
        progress: Called with the number of rows read since the last call.

    Raises:
        SchemaError: If the log has no usable rows, or values that do not fit the role of their column.
    """
    log = _LogScan(table, name, columns, buffer, rules)
    for batch in _prefetched(read_batches(log.table, log.names, as_text=log.names)):
        log.add(batch)
        if progress:
            progress(len(batch))
    return log.finish()


class _LogScan:
    """State of reading one log; see `scan` for the arguments."""

    def __init__(
        self, table: Tabular, name: str, columns: Columns, buffer: MemoryBuffer | FileBuffer, rules: ReadRules
    ) -> None:
        self._name, self._columns, self._buffer, self._rules = name, columns, buffer, rules
        self._column_of = {role: column for role, column in columns.roles() if column}
        self._flag = _check_flag(table)
        self.names = list(dict.fromkeys([*self._column_of.values(), *([self._flag] if self._flag else [])]))
        self.table = table
        if table.format == "frame":  # lazy frames are computed once
            self.table = replace(table, frame=read_columns(table, self.names))
        self._users, self._items = IdReader(as_text=rules.as_text), IdReader(as_text=rules.as_text)
        self._times = TimeReader(rules.time_unit, self._time_type())
        self._others: dict[str, Any] = {"label": LabelReader(), "value": NumberReader("value")}
        self._others["weight"] = NumberReader("weight")
        readers = {"user": self._users, "item": self._items, "time": self._times, **self._others}
        self._readers: dict[str, Any] = {role: readers[role] for role in self._column_of}
        self._domain_key = domain_key(name)
        self._nulls = {role: Misfits() for role in self._column_of}
        self._n_rows = self._n_complete = self._n_synthetic = 0

    def _time_type(self) -> pa.DataType | None:
        """Return the type of the time column where reading would change it; None where the format has only text."""
        name = self._column_of.get("time")
        return None if name is None or self.table.format == "CSV" else self.table.schema.field(name).type

    def add(self, batch: pa.Table) -> None:
        """Read a batch of rows."""
        self._n_synthetic += count_true(batch[self._flag]) if self._flag else 0
        is_untyped = self.table.format == "CSV"
        columns = {
            role: plain_column(name, self.table.name, batch[name], is_untyped=is_untyped)
            for role, name in self._column_of.items()
        }
        rows = np.flatnonzero(~self._find_nulls(columns, len(batch)))
        if len(rows) < len(batch):
            columns = {role: replace(one, values=one.values.take(pa.array(rows))) for role, one in columns.items()}
        columns = {role: replace(column, rows=rows + self._n_rows) for role, column in columns.items()}
        self._n_rows += len(batch)
        self._n_complete += len(rows)
        if len(rows):
            arrays = {role: reader.read(columns[role]) for role, reader in self._readers.items()}
            self._buffer.add(arrays, partial(self._item_keys, arrays["item"]))

    def _find_nulls(self, columns: Mapping[str, Column], n: int) -> Mask:
        """Record the nulls of a batch, and return the rows that have any, shape (n,)."""
        has_null = np.zeros(n, np.bool_)
        for role, column in columns.items():
            if role in ("user", "item"):
                check_id_type(column)
            is_null = column.missing()
            self._nulls[role].add(replace(column, rows=np.arange(self._n_rows, self._n_rows + n)), is_null)
            has_null |= is_null
        return has_null

    def _item_keys(self, places: Any) -> Keys:
        """Return the keys that a vocabulary of source items will have for a batch."""
        keys = self._items.keys_of(places)
        return combine_keys(keys, np.full(len(keys), self._domain_key))

    def finish(self) -> ScannedLog:
        """Check the rows and values, and return the log."""
        counts = RowCounts(
            title=self.table.name,
            rows=self._n_rows,
            complete=self._n_complete,
            nulls=self._nulls,
            columns=self._column_of,
            synthetic=self._n_synthetic,
            flag=self._flag,
        )
        refuse_rows(counts, drop_nulls=self._rules.drop_nulls)
        unit = self._times.finish() if "time" in self._column_of else None
        users, items = self._users.finish(), self._items.finish()
        for role in OPTIONAL:
            if role in self._column_of:
                self._others[role].finish()
        return ScannedLog(
            name=self._name,
            table=self.table,
            columns=self._columns,
            buffer=self._buffer,
            users=users,
            items=items,
            time_unit=unit,
            entry=input_entry("target" if self._name == "target" else "source", self._name, self.table, self._n_rows),
            dropped=self._n_rows - self._n_complete,
        )


def _check_flag(table: Tabular) -> str | None:
    """Return the column that marks synthetic events; None where there is none.

    Raises:
        SchemaError: If its values cannot be true or false, or the log has the columns of our output.
    """
    flag = synthetic_flag(table.schema.names)
    if flag is None:
        refuse_generated_log(table.name, table.schema.names)
    else:
        check_flag(table.name, flag, table.schema.field(flag).type)
    return flag


def input_entry(role: str, name: str, table: Tabular, n_rows: int) -> dict[str, Any]:
    """Return the entry of an input in the manifest.

    Args:
        role: "source", "target" or "items".
        name: Name of the domain, or "items".
        table: The files, or a frame that is an Arrow table.
        n_rows: Rows of the input.
    """
    return {
        "role": role,
        "name": name,
        "files": [str(file) for file in table.files],
        "rows": n_rows,
        "bytes": sum(file.stat().st_size for file in table.files) if table.files else table.frame.nbytes,
        "digest": files_digest(table.files) if table.files else table_digest(table.frame),
    }


def _prefetched(batches: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield batches while another thread reads the next one."""
    with ThreadPoolExecutor(1, "scalr-reading") as pool:
        waiting = pool.submit(next, batches, None)
        while (batch := waiting.result()) is not None:
            waiting = pool.submit(next, batches, None)
            yield batch
