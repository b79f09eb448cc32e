"""The part files of a run: synthetic events in the columns of the user, from either layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scalr.foundation import InputError
from scalr.logs import BATCH_ROWS, Columns, IdCoder, Tabular, open_table, read_batches
from scalr.synthesis import to_type

_OURS = ("weight", "source_event", "draw")


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group of a part file, which can be read alone.

    Attributes:
        file: The part file.
        number: Number of the row group in the file, from 0.
        rows: Events in the row group.
    """

    file: Path
    number: int
    rows: int

    @property
    def reads(self) -> int:
        """Number of tables when it is read: `BATCH_ROWS` rows each, fewer in the last."""
        return -(-self.rows // BATCH_ROWS)


@dataclass(frozen=True)
class Parts:
    """The synthetic events of one run.

    Attributes:
        folder: The run.
        is_compact: Whether the parts hold codes; `dictionaries/` then has the ids by code.
        columns: Column names of the target log by role.
        schema: Columns and types of the target log.
    """

    folder: Path
    is_compact: bool
    columns: Columns
    schema: pa.Schema

    @classmethod
    def from_run(cls, folder: Path, columns: Columns, schema: pa.Schema) -> Parts:
        """Open the parts of a run.

        Raises:
            InputError: If the run has no parts.
        """
        if not (folder / "synthetic").is_dir():
            raise InputError(
                f"'{folder}' has no folder 'synthetic'",
                expected="the output of `scalr generate` or `scalr run`",
                fix="name the folder of a generation or run; a study writes no events",
            )
        return cls(folder, (folder / "dictionaries").is_dir(), columns, schema)

    @cached_property
    def table(self) -> Tabular:
        """Return the part files as a table."""
        return open_table(str(self.folder / "synthetic"), "synthetic")

    def type_of(self, name: str) -> pa.DataType:
        """Return the type of a target column in the parts. Integer weights may have become fractions."""
        if not self.is_compact:
            return self.table.schema.field(name).type
        kind = self.schema.field(name).type
        return pa.float64() if name == self.columns.weight and pa.types.is_integer(kind) else kind

    @cached_property
    def row_groups(self) -> tuple[RowGroup, ...]:
        """Return all row groups of all part files, in the order of the events."""
        counts = [(file, pq.read_metadata(file)) for file in self.table.files]
        return tuple(
            RowGroup(file, number, found.row_group(number).num_rows)
            for file, found in counts
            for number in range(found.num_row_groups)
        )

    def batches(self, names: Sequence[str], groups: Sequence[RowGroup] | None = None) -> Iterator[pa.Table]:
        """Read columns of the target log by name, and `weight`, `source_event` and `draw`, in the order of the events.

        The weight is called `event_weight` in these tables, since the log may have its own column `weight`.

        Args:
            names: Columns of the target log.
            groups: Row groups to read; all if None.
        """
        kinds = {name: self.type_of(name) for name in names}
        if not self.is_compact:
            wanted = list(dict.fromkeys([*names, *_OURS]))
            for batch in self._read(wanted, groups):
                ours = batch.select(list(_OURS)).rename_columns(["event_weight", *_OURS[1:]])
                yield _beside(batch.select(list(names)), ours)
            return
        stored = ["user", "item", *(["time"] if "time" in self.table.schema.names else []), *_OURS]
        for batch in self._read(stored, groups):
            ours = batch.select(list(_OURS)).rename_columns(["event_weight", *_OURS[1:]])
            columns = {name: self._decoded(batch, name, kind) for name, kind in kinds.items()}
            yield _beside(pa.table(columns) if columns else batch.select([]), ours)

    def users(self) -> pa.Array:
        """Return the distinct users of the events, int64 or large_string, in any order."""
        if self.is_compact:
            seen = np.zeros(len(self._ids("users")), np.bool_)
            for batch in read_batches(self.table, ["user"]):
                seen[batch["user"].to_numpy()] = True
            return as_ids(self._ids("users").filter(pa.array(seen)))
        name = str(self.columns.user)
        coder: IdCoder | None = None
        for batch in read_batches(self.table, [name]):
            ids = as_ids(batch[name])
            coder = coder or IdCoder(is_text=not pa.types.is_integer(ids.type))
            coder.add(ids)
        return pa.array([], pa.int64()) if coder is None else coder.distinct()

    def _read(self, names: Sequence[str], groups: Sequence[RowGroup] | None) -> Iterator[pa.Table]:
        for group in self.row_groups if groups is None else groups:
            with pq.ParquetFile(group.file) as opened:
                kinds = {"row_groups": [group.number], "columns": list(names), "use_threads": False}
                for batch in opened.iter_batches(BATCH_ROWS, **kinds):
                    yield pa.Table.from_batches([batch]).select(list(names))

    def _ids(self, which: str) -> pa.Array:
        return self._dictionaries[which]

    @cached_property
    def _dictionaries(self) -> dict[str, pa.Array]:
        return {
            which: pq.read_table(self.folder / "dictionaries" / f"{which}.parquet")["id"].combine_chunks()
            for which in ("users", "items")
        }

    def _decoded(self, batch: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
        role = next((role for role, column in self.columns.roles() if column == name), None)
        if role in ("user", "item"):
            return to_type(self._ids(f"{role}s").take(batch[role].combine_chunks()), kind)
        if role == "time" and "time" in batch.column_names:
            return to_type(batch["time"].combine_chunks(), kind)
        if role == "label":
            return to_type(pa.array(np.ones(len(batch), np.int8)), kind)
        if role == "weight":
            return to_type(batch["weight"].combine_chunks(), kind)
        return pa.nulls(len(batch), kind)


def as_ids(values: Any) -> pa.Array:
    """Return a column of ids as one array of int64 or large_string, as vocabularies hash them."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return values.cast(pa.int64() if pa.types.is_integer(values.type) else pa.large_string())


def _beside(left: pa.Table, right: pa.Table) -> pa.Table:
    return pa.Table.from_arrays([*left.columns, *right.columns], names=[*left.column_names, *right.column_names])
