"""Write synthetic events as Parquet: in the target log's own columns (`target`), or as codes (`compact`)."""

from __future__ import annotations

import base64
import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from scalr.foundation import Codes, ConfigError, Keys, SchemaError, Times
from scalr.logs import SYNTHETIC_COLUMNS, Pair, StoredPair, Vocabulary, from_microseconds
from scalr.synthesis.aligning import item_values
from scalr.synthesis.events import Rows, no_rows
from scalr.synthesis.kernels.filtering import localise

Places = npt.NDArray[np.intp]
_PAGE_BYTES = 1 << 18  # pages fit into the cache during compression
_DICTIONARY_BYTES = 1 << 26  # far more than the texts of a row group, so that dictionaries never overflow


def check_columns(pair: Pair | StoredPair) -> None:
    """Check that synthetic events can have the columns of the target log.

    Raises:
        SchemaError: If a column without a role has a name of `SYNTHETIC_COLUMNS`, or the item table has a column of
            the same name and an incompatible type.
    """
    roles = {name for _, name in pair.target.columns.roles() if name}
    for field in pair.target.schema or ():
        if field.name in roles:
            continue
        if field.name in SYNTHETIC_COLUMNS and field.name not in ("is_synthetic", "weight"):
            raise SchemaError(
                f"the target log has a column '{field.name}', which is a column of synthetic events",
                expected=f"no column called {', '.join(SYNTHETIC_COLUMNS)}",
                fix=f"rename '{field.name}' in the target log, or write with --layout compact",
            )
        if pair.items is None or field.name not in pair.items.target.column_names:
            continue
        column = pair.items.target.column(field.name)
        try:
            to_type(_chunkless(column), field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SchemaError(
                f"column '{field.name}' is {field.type} in the target log, but {column.type} in the item table",
                expected="one type for both",
                fix=f"cast or rename '{field.name}' in the item table",
            ) from error


def to_type(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Cast a column to the user's type, dictionaries and decimals in two steps.

    Raises:
        pyarrow.ArrowInvalid: If a value does not fit.
    """
    if values.type == kind:
        return values
    if pa.types.is_dictionary(kind):
        return to_type(values, kind.value_type).dictionary_encode().cast(kind)
    if pa.types.is_decimal(kind):
        return values.cast(pa.string()).cast(kind)
    return values.cast(kind)


class TableBuilder:
    """Builds Arrow tables from rows of synthetic events. Not thread-safe: `fork` returns a copy for another thread.

    Layout `target` has all columns of the target log, with their names and types, followed by `SYNTHETIC_COLUMNS`.
    User, item and time are filled, the label is that of the row (default 1), the value that of the item, columns of the
    item table are joined, and all others are null. A weight column of integers becomes one of floats if the source has
    fractional weights. Layout `compact` has integer codes; `write_dictionaries` writes their ids.

    Args:
        pair: The logs.
        generation: The id in column `generation_id`.
        layout: "target" or "compact".
        coded: Whether to keep texts as dictionary arrays, which are written faster.
        labelled: Whether rows have labels, as with negative rows.

    Attributes:
        coded: The schema of the tables.
        schema: The schema for readers, with texts as texts.

    Raises:
        ConfigError: If the layout is unknown.
        SchemaError: See `check_columns`.
    """

    def __init__(
        self,
        pair: StoredPair,
        generation: str,
        layout: str = "target",
        *,
        coded: bool = False,
        labelled: bool = False,
    ) -> None:
        if layout not in ("target", "compact"):
            raise ConfigError(f"layout is '{layout}'", expected="'target' or 'compact'", fix="choose one of these")
        if layout == "target":
            check_columns(pair)
        self._pair, self._generation, self._layout, self._as_codes = pair, generation, layout, coded
        self._place: dict[int, Codes] = {}
        self._room = _Room(reuse=coded)
        self._zeros, self._true = np.zeros(0, np.int32), pa.array([], pa.bool_())
        self._values = item_values(pair.target.positives(), pair.items) if layout == "target" else None
        self.coded = self.schema = pa.schema([])
        empty = no_rows(timed=pair.source.time is not None)
        built = self(replace(empty, label=np.zeros(0, np.int8)) if labelled else empty).schema
        self.schema = self._typed(built)
        self.coded = pa.schema([one.with_nullable(self.schema.field(one.name).nullable) for one in built])

    def fork(self) -> TableBuilder:
        """Return a copy for another thread."""
        return self.over(self._pair)

    @property
    def pair(self) -> StoredPair:
        """Return the logs."""
        return self._pair

    def over(self, pair: StoredPair) -> TableBuilder:
        """Return a copy for logs with other users and source items, but the same target items."""
        other = copy.copy(self)
        other._pair, other._place, other._room = pair, {}, _Room(reuse=self._as_codes)
        return other

    def __call__(self, rows: Rows) -> pa.Table:
        """Return rows as a table, of the schema `coded`."""
        if len(rows) > len(self._zeros):
            self._zeros, self._true = np.zeros(len(rows), np.int32), pa.array(np.ones(len(rows), np.bool_))
        events = _Events.from_rows(rows, self._room)
        columns = self._target_columns(rows, events) if self._layout == "target" else _compact(self._pair, rows, events)
        fields = [pa.field(name, column.type) for name, column in columns.items()]
        return pa.Table.from_arrays(list(columns.values()), schema=self.coded if len(self.coded) else pa.schema(fields))

    def _typed(self, built: pa.Schema) -> pa.Schema:
        """Return the schema for readers; only columns that are not always filled are nullable."""
        target, filled = self._pair.target, {name for _, name in self._pair.target.columns.roles() if name}
        given = {} if target.schema is None or self._layout == "compact" else {f.name: f.type for f in target.schema}
        always = {"user", "item", "time", "label", "weight"}
        roles = {name: role for role, name in target.columns.roles() if name}
        fields = []
        for one in built:
            kind = one.type
            if pa.types.is_dictionary(kind) and self._as_codes:
                kind = given.get(one.name, kind.value_type)
            is_ours = one.name not in given or one.name in SYNTHETIC_COLUMNS
            has_source_time = roles.get(one.name) != "time" or self._pair.source.time is not None
            never_null = is_ours or (one.name in filled and roles[one.name] in always and has_source_time)
            fields.append(pa.field(one.name, kind, nullable=not never_null))
        return pa.schema(fields)

    def _target_columns(self, rows: Rows, events: _Events) -> dict[str, Any]:
        target, n = self._pair.target, len(rows)
        roles = {name: role for role, name in target.columns.roles() if name}
        added = {
            "is_synthetic": self._true.slice(0, n),
            "weight": pa.array(rows.weight),
            "confidence": pa.array(rows.confidence),
            "support": pa.array(rows.support),
            "source_domain": self._domains(events),
            "source_item": self._ids("source item", self._pair.source.items, events.item, None, events.of_row),
            "source_event": events.numbers(),
            "draw": pa.array(rows.draw),
            "generation_id": self._constant(self._generation, n),
        }
        columns = {
            one.name: self._column(rows, events, one, roles.get(one.name))
            for one in (target.schema if target.schema is not None else ())
            if one.name not in added or one.name in roles
        }
        return columns | {name: values for name, values in added.items() if name not in columns}

    def _column(self, rows: Rows, events: _Events, one: pa.Field, role: str | None) -> pa.Array:
        """Return the values of a column of the target log."""
        pair, target = self._pair, self._pair.target
        if role == "user":
            return self._ids("user", target.users, events.user, one.type, events.of_row)
        if role == "item":
            return self._ids("item", target.items, rows.item, one.type, None)
        if role == "time" and (times := events.times(pair)) is not None:
            return to_type(times, one.type)
        if role == "label":
            return to_type(pa.array(np.ones(len(rows), np.int8) if rows.label is None else rows.label), one.type)
        if role == "weight":
            whole = pair.source_counts.whole_weights or not pa.types.is_integer(_weight_type(pair))
            return to_type(pa.array(rows.weight), one.type if whole else pa.float64())
        if role == "value" and self._values is not None:
            value = np.round(self._values[rows.item], 6)
            whole = pa.types.is_integer(one.type)
            return pa.array(np.round(value) if whole else value, mask=~np.isfinite(value)).cast(one.type, safe=False)
        if role is None and pair.items is not None and one.name in pair.items.target.column_names:
            return to_type(_chunkless(pair.items.target.column(one.name).take(pa.array(rows.item))), one.type)
        return pa.nulls(len(rows), one.type)

    def _ids(
        self, role: str, words: Vocabulary, codes: Codes, type_: pa.DataType | None, of_row: Places | None
    ) -> pa.Array:
        """Return the ids of codes, cast to `type_` if given.

        Args:
            role: Name of the buffers.
            words: The ids.
            codes: One per row, or one per event with `of_row`.
            type_: The user's type, or None.
            of_row: Shape (n,), place of each row's event in `codes`.
        """
        if not self._as_codes or pa.types.is_integer(words.ids.type):
            plain = words.ids.take(pa.array(codes if of_row is None else codes[of_row]))
            return plain if type_ is None else to_type(plain, type_)
        place = self._place.setdefault(id(words), np.full(len(words), -1, np.int32))
        distinct, index = (self._room.take(name, len(codes), np.int32) for name in ("distinct", f"{role} index"))
        n = localise(codes, place, distinct, index)
        index = index if of_row is None else self._room.gather(f"{role} of row", index, of_row)
        return pa.DictionaryArray.from_arrays(pa.array(index), words.ids.take(pa.array(distinct[:n])))

    def _domains(self, events: _Events) -> pa.Array:
        items = self._pair.source.items
        if len(items.domains) == 1:
            return self._constant(items.domains[0], len(events.of_row))
        domain = items.domain[events.item].astype(np.int32)[events.of_row]
        names = pa.DictionaryArray.from_arrays(domain, pa.array(items.domains))
        return names if self._as_codes else names.cast(pa.string())

    def _constant(self, text: str, n: int) -> pa.Array:
        if not self._as_codes:
            return pa.repeat(pa.scalar(text), n)
        return pa.DictionaryArray.from_arrays(pa.array(self._zeros[:n]), pa.array([text]))


class _Room:
    """Buffers for the columns of a table, reused for the next table with `reuse`: first use of new memory is slow."""

    def __init__(self, *, reuse: bool) -> None:
        self._reuse = reuse
        self._arrays: dict[str, npt.NDArray[Any]] = {}

    def take(self, name: str, n: int, kind: Any) -> npt.NDArray[Any]:
        """Return an uninitialised array of n elements."""
        if not self._reuse:
            return np.empty(n, kind)
        if name not in self._arrays or len(self._arrays[name]) < n:
            self._arrays[name] = np.empty(n, kind)
        return self._arrays[name][:n]

    def gather(self, name: str, values: npt.NDArray[Any], places: Places) -> npt.NDArray[Any]:
        """Return the values at `places`, which must be valid."""
        return np.take(values, places, out=self.take(name, len(places), values.dtype), mode="clip")


@dataclass(frozen=True, slots=True, eq=False)
class _Events:
    """The source events of some rows: one value per event, and the event of each row."""

    user: Codes
    item: Codes
    time: Times | None
    key: Keys
    of_row: Places
    room: _Room

    @classmethod
    def from_rows(cls, rows: Rows, room: _Room) -> _Events:
        """Return the range of events that contains those of the rows."""
        first, end = (int(rows.event.min()), int(rows.event.max()) + 1) if len(rows) else (0, 0)
        time = None if rows.event_time is None else rows.event_time[first:end]
        of_row = np.subtract(rows.event, first, out=room.take("of row", len(rows), np.intp))
        return cls(
            rows.event_user[first:end], rows.event_item[first:end], time, rows.event_key[first:end], of_row, room
        )

    def numbers(self) -> pa.Array:
        """Return the id of each row's source event: its key without the lowest bit, which fits a signed integer."""
        return pa.array(self.room.gather("numbers", (self.key >> np.uint64(1)).view(np.int64), self.of_row))

    def times(self, pair: StoredPair) -> pa.Array | None:
        """Return the time of each row in the unit of the target log; None without time."""
        if self.time is None or pair.target.time_unit is None:
            return None
        times = from_microseconds(self.time, pair.target.time_unit)
        if pa.types.is_int64(times.type):
            return pa.array(self.room.gather("times", times.to_numpy(), self.of_row))
        return times.take(pa.array(self.of_row))


def _compact(pair: StoredPair, rows: Rows, events: _Events) -> dict[str, pa.Array]:
    """Return the columns of layout `compact`."""
    columns: dict[str, Any] = {
        "user": events.user[events.of_row],
        "item": rows.item,
        "source_item": events.item[events.of_row],
        "time": events.times(pair),
        "label": rows.label,
        "weight": rows.weight,
        "confidence": rows.confidence,
        "support": rows.support,
        "source_event": events.numbers(),
        "draw": rows.draw,
    }
    return {name: pa.array(column) for name, column in columns.items() if column is not None}


class PartWriter:
    """Writes one part file in row groups.

    Args:
        file: Where to write.
        schema: The schema for readers.
        coded: The schema of the tables, with texts as dictionaries.
    """

    def __init__(self, file: Path, schema: pa.Schema, coded: pa.Schema) -> None:
        texts = [one.name for one in coded if pa.types.is_dictionary(one.type)]
        counts = [name for name in ("support",) if name in coded.names]  # few distinct values
        self._writer = pq.ParquetWriter(
            file,
            coded,
            compression="zstd",
            compression_level=1,
            use_dictionary=texts + counts,
            dictionary_pagesize_limit=_DICTIONARY_BYTES,
            data_page_size=_PAGE_BYTES,
            write_statistics=False,  # ids are in the order of hashes, so readers could skip nothing
            store_schema=False,
        )
        self.file, self._schema = file, schema

    def write(self, table: pa.Table) -> None:
        """Write a row group."""
        self._writer.write_table(table, row_group_size=len(table) or None)

    def close(self) -> None:
        """Finish the file. Its Arrow metadata hold the schema for readers, with texts as texts."""
        described = base64.b64encode(self._schema.serialize().to_pybytes()).decode()
        self._writer.add_key_value_metadata({"ARROW:schema": described})
        self._writer.close()


def _weight_type(pair: StoredPair) -> pa.DataType:
    """Return the type of the target's weight column; without one, that of synthetic weights."""
    name, schema = pair.target.columns.weight, pair.target.schema
    return schema.field(name).type if name and schema is not None and name in schema.names else pa.float32()


def write_dictionaries(pair: StoredPair, folder: Path) -> None:
    """Write one file per vocabulary, with the columns `code` and `id`."""
    folder.mkdir()
    for name, words in (
        ("users", pair.target.users),
        ("items", pair.target.items),
        ("source_items", pair.source.items),
    ):
        columns = {"code": pa.array(np.arange(len(words), dtype=np.int32)), "id": words.ids}
        if name == "source_items":
            columns["domain"] = pa.array(words.domains).take(pa.array(words.domain))
        pq.write_table(pa.table(columns), folder / f"{name}.parquet", compression="zstd")


def _chunkless(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
