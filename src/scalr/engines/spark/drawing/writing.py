"""Files that tasks write: every attempt has its own file name, and the driver takes one file per task.

The twin of the local engine is `scalr.engines.local.writing`.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.engines.spark.cluster.broadcast import BroadcastValue
from scalr.engines.spark.cluster.layout import in_arrow
from scalr.engines.spark.cluster.session import no_pandas_warning
from scalr.engines.spark.drawing.tasks import DrawContext, DrawTables, EmitRows
from scalr.foundation import Bytes, OutputError
from scalr.synthesis import FEW_USERS, PartWriter

_FILES = "task int, file string, rows bigint, few array<bigint>"
_NOT_SHARED = -1  # reported rows of a task that did not find the folder


@dataclass(frozen=True, slots=True)
class FileCounts:
    """Counts of the events that tasks have written.

    Attributes:
        rows: Rows, negative rows included.
        items: Distinct target items.
        few: Events with fewer other users behind them than each of `FEW_USERS`; without negative rows.
    """

    rows: int
    items: int
    few: tuple[int, ...]


class BitUnion:
    """Accumulates bits that tasks set."""

    def zero(self, value: Bytes) -> Bytes:
        """Return no bits."""
        return np.zeros_like(value)

    def addInPlace(self, one: Bytes, other: Bytes) -> Bytes:  # noqa: N802 - Spark's name
        """Return the union of the bits."""
        return one | other


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Writes the events of a task into one file, and emits its name; without rows there is no file.

    Attributes:
        context: As in drawing.
        make: Makes the events.
        folder: The folder, which the driver shares.
        items: Accumulator of bits, one per target item.
    """

    context: BroadcastValue[DrawContext]
    make: DrawTables | EmitRows
    folder: str
    items: Any

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Process a partition."""
        from pyspark import TaskContext

        task_context = TaskContext.get()
        task, folder = 0 if task_context is None else task_context.partitionId(), Path(self.folder)
        if not folder.is_dir():
            yield _file_row(task, "", _NOT_SHARED, [0] * len(FEW_USERS))
            return
        context = self.context.open()
        file, n_rows = folder / f"{task:05d}-{uuid.uuid4().hex}.parquet", 0
        coded, writer = coded_schema(context), None
        has_item, few = np.zeros(len(context.side.target.items), np.bool_), np.zeros(len(FEW_USERS), np.int64)
        try:
            for rows, table in self.make.tables(batches, context.filer):
                writer = writer or PartWriter(file, context.schema, coded)
                writer.write(_typed(table, coded))
                n_rows += len(rows)
                has_item[rows.item] = True
                events = rows.support if rows.label is None else rows.support[rows.label == 1]
                few += [np.count_nonzero(events < least) for least in FEW_USERS]
        finally:
            if writer is not None:
                writer.close()
        self.items.add(np.packbits(has_item))
        yield _file_row(task, file.name if n_rows else "", n_rows, few.tolist())


def _file_row(task: int, file: str, rows: int, few: list[int]) -> pa.RecordBatch:
    columns = {"task": pa.array([task], pa.int32()), "file": [file], "rows": [rows], "few": [few]}
    return pa.RecordBatch.from_pydict(columns)


def coded_schema(context: DrawContext) -> pa.Schema:
    """Return the columns for Spark, with texts as dictionaries where the builder of files has dictionaries."""
    coded = context.filer.coded
    return pa.schema(
        [
            field.with_type(pa.dictionary(coded.field(field.name).type.index_type, field.type))
            if pa.types.is_dictionary(coded.field(field.name).type)
            else field
            for field in context.schema
        ]
    )


def _typed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for column, kind in zip(table.columns, schema.types, strict=True):
        whole = column.combine_chunks()
        if pa.types.is_dictionary(kind) and whole.type != kind:
            whole = pa.DictionaryArray.from_arrays(whole.indices, whole.dictionary.cast(kind.value_type))
        columns.append(whole.cast(kind))
    return pa.Table.from_arrays(columns, schema=schema)


def write_files(
    frame: Any,
    make: DrawTables | EmitRows,
    context: BroadcastValue[DrawContext],
    local_context: DrawContext,
    out: Path,
) -> FileCounts:
    """Let tasks write the events of a frame into a new folder, which they and the driver share.

    Files appear in it once all tasks are done; files of failed or superfluous attempts are removed.

    Args:
        frame: The frame whose partitions `make` turns into events.
        make: Makes the events.
        context: The context of `make`, for tasks.
        local_context: The same on the driver.
        out: The folder.

    Raises:
        OutputError: If tasks do not see the folder, or the driver does not see their files.
    """
    growing = out.with_name(f".{out.name}-{uuid.uuid4().hex}")
    growing.mkdir(parents=True)
    try:
        n_bytes = -(-len(local_context.side.target.items) // 8)
        items = frame.sparkSession.sparkContext.accumulator(np.zeros(n_bytes, np.uint8), BitUnion())
        with no_pandas_warning():
            rows = in_arrow(frame, WriteFile(context, make, str(growing.absolute()), items), _FILES).collect()
        files = {row["task"]: growing / row["file"] for row in rows if row["file"]}
        if any(row["rows"] == _NOT_SHARED for row in rows) or not all(file.is_file() for file in files.values()):
            raise OutputError(
                f"Spark's tasks wrote the events, but not where '{out}' is for the driver",
                expected="a folder that the driver and all workers share",
                fix="choose an --out on a shared disk, or write the frame of scalr.generate yourself",
            )
        out.mkdir()
        for task, file in files.items():
            file.rename(out / f"part-{task:05d}.parquet")
        if not files:  # so that readers find columns
            PartWriter(out / "part-00000.parquet", local_context.schema, coded_schema(local_context)).close()
    finally:
        shutil.rmtree(growing, ignore_errors=True)
    few = tuple(sum(row["few"][place] for row in rows) for place in range(len(FEW_USERS)))
    return FileCounts(sum(row["rows"] for row in rows), int(np.unpackbits(items.value).sum()), few)
