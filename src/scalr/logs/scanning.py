"""Scan one log: its events batch by batch into an intake, its ids, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.foundation import Keys, SchemaError, combine_keys
from scalr.logs.collecting import FileIntake, MemoryIntake
from scalr.logs.column_roles import OPTIONAL
from scalr.logs.event_log import TimeUnit
from scalr.logs.readers.column import Column, Misfits, nulls_in, plain_column
from scalr.logs.readers.ids import IdReader, check_id_type
from scalr.logs.readers.numbers import LabelReader, NumberReader, check_flag, count_true
from scalr.logs.readers.times import TimeReader
from scalr.logs.schema import Columns
from scalr.logs.tables.digests import files_digest, table_digest
from scalr.logs.tables.open_table import Tabular, read_batches, read_columns
from scalr.logs.vocabulary import domain_key

_IS_SYNTHETIC = "is_synthetic"
_MADE_HERE = ("confidence", "support", "source_item", "source_event", "draw")  # together in no log but our own


@dataclass(frozen=True, slots=True, eq=False)
class ScannedLog:
    """One log as read: its events, and the distinct ids that they name by place."""

    name: str
    table: Tabular
    columns: Columns
    intake: MemoryIntake | FileIntake
    users: pa.Array
    items: pa.Array
    time_unit: TimeUnit | None
    entry: Mapping[str, Any]
    dropped: int

    def schema(self) -> pa.Schema:
        """Return the user's schema; types that CSV cannot say are those that were read."""
        schema = self.table.schema
        if self.table.format != "CSV":
            return schema
        read = {self.columns.user: self.users.type, self.columns.item: self.items.type}
        if self.time_unit is not None:
            read[self.columns.time] = self.time_unit.type
        for name, type_ in read.items():
            place = schema.get_field_index(name)
            schema = schema.set(place, pa.field(name, pa.string() if pa.types.is_large_string(type_) else type_))
        return schema


def scan(
    table: Tabular,
    name: str,
    role: str,
    columns: Columns,
    intake: MemoryIntake | FileIntake,
    *,
    time_unit: str | None,
    as_text: bool,
    drop_nulls: bool,
    progress: Callable[[int], None] | None,
) -> ScannedLog:
    """Read a log into `intake`.

    Args:
        table: What to read.
        name: Name of the domain.
        role: "source" or "target".
        columns: Column of every role; "" for none.
        intake: Takes the events.
        time_unit: Unit of integer times; None guesses it.
        as_text: Read ids as text.
        drop_nulls: Drop rows with a null instead of refusing them.
        progress: Called with the number of rows read since the last call.

    Raises:
        SchemaError: If the log holds what it must not.
    """
    chosen = {part: column for part, column in columns.roles() if column}
    flag = next((column for column in table.schema.names if column.lower() == _IS_SYNTHETIC), None)
    if flag is None:
        refuse_own_rows(table.name, table.schema.names)
    else:
        check_flag(table.name, flag, table.schema.field(flag).type)
    wanted = list(dict.fromkeys([*chosen.values(), *([flag] if flag else [])]))
    if table.format == "frame":
        table = replace(table, frame=read_columns(table, wanted))
    type_ = None if table.format == "CSV" or "time" not in chosen else table.schema.field(chosen["time"]).type
    users, items = IdReader(as_text=as_text), IdReader(as_text=as_text)
    others: dict[str, Any] = {"time": TimeReader(time_unit, type_), "label": LabelReader()}
    others |= {part: NumberReader(part) for part in ("value", "weight")}
    readers = {"user": users, "item": items, **{part: reader for part, reader in others.items() if part in chosen}}
    of_domain = domain_key(name)
    missing = {part: Misfits() for part in chosen}
    n_rows = n_synthetic = n_kept = 0
    for batch in _ahead(read_batches(table, wanted, as_text=wanted)):
        n_synthetic += count_true(batch[flag]) if flag else 0
        column = {part: _column(table, batch, given) for part, given in chosen.items()}
        is_missing = np.zeros(len(batch), np.bool_)
        for part, values in column.items():
            if part in ("user", "item"):
                check_id_type(values)
            lacks = values.missing()
            missing[part].add(replace(values, rows=np.arange(n_rows, n_rows + len(batch))), lacks)
            is_missing |= lacks
        rows = np.flatnonzero(~is_missing)
        if len(rows) < len(batch):
            column = {
                part: replace(values, values=values.values.take(pa.array(rows))) for part, values in column.items()
            }
        column = {part: replace(values, rows=rows + n_rows) for part, values in column.items()}
        n_rows, n_kept = n_rows + len(batch), n_kept + len(rows)
        if len(rows):
            arrays = {part: reader.read(column[part]) for part, reader in readers.items()}
            intake.add(arrays, partial(_item_keys, items, arrays["item"], of_domain))
        if progress:
            progress(len(batch))
    _refuse_rows(table, chosen, missing, flag, n_rows, n_synthetic, n_kept, drop_nulls=drop_nulls)
    unit = others["time"].finish() if "time" in chosen else None
    distinct = users.finish(), items.finish()
    for part in OPTIONAL:
        if part in chosen:
            others[part].finish()
    entry = {
        "role": role,
        "name": name,
        "files": [str(file) for file in table.files],
        "rows": n_rows,
        "bytes": sum(file.stat().st_size for file in table.files) if table.files else table.frame.nbytes,
        "digest": files_digest(table.files) if table.files else table_digest(table.frame),
    }
    return ScannedLog(name, table, columns, intake, *distinct, unit, entry, n_rows - n_kept)


def refuse_own_rows(title: str, names: Iterable[str]) -> None:
    """Refuse a log that scalr itself wrote, by its columns.

    Raises:
        SchemaError: If it is one.
    """
    if set(_MADE_HERE) <= set(names):
        raise SchemaError(
            f"{title} holds synthetic events (it has columns {', '.join(_MADE_HERE)})",
            expected="real events only: what is fitted on synthetic events repeats itself",
            fix="name the log that was recorded, not what scalr wrote",
        )


def _item_keys(items: IdReader, place: Any, of_domain: np.uint64) -> Keys:
    """Return the keys that a vocabulary of source items will have for a batch."""
    keys = items.keys_of(place)
    return combine_keys(keys, np.full(len(keys), of_domain))


def _ahead(batches: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Give batches while another thread reads the next one."""
    with ThreadPoolExecutor(1, "scalr-reading") as pool:
        waiting = pool.submit(next, batches, None)
        while (batch := waiting.result()) is not None:
            waiting = pool.submit(next, batches, None)
            yield batch


def _refuse_rows(
    table: Tabular,
    chosen: Mapping[str, str],
    missing: Mapping[str, Misfits],
    flag: str | None,
    n_rows: int,
    n_synthetic: int,
    n_kept: int,
    *,
    drop_nulls: bool,
) -> None:
    if not n_rows:
        raise SchemaError(
            f"{table.name} has no rows", expected="at least one event", fix="check the file and its filters"
        )
    if n_synthetic:
        raise SchemaError(
            f"{table.name} has {n_synthetic} synthetic events ('{flag}' is true)",
            expected="real events only: what is fitted on synthetic events repeats itself",
            fix=f"filter them out (WHERE NOT {flag})",
        )
    for part, misfits in missing.items():
        if misfits.count and not drop_nulls:
            title = f"column '{chosen[part]}' of {table.name}"
            raise nulls_in(title, misfits, f"no nulls in the {part} column")
    if not n_kept:
        raise SchemaError(
            f"every row of {table.name} has a null", expected="at least one complete event", fix="check the columns"
        )


def _column(table: Tabular, rows: pa.Table, name: str) -> Column:
    return plain_column(name, table.name, rows[name], is_untyped=table.format == "CSV")
