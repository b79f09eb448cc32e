"""Files that tasks write: each try under a name of its own, of which the driver takes one per task."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.engines.spark.cluster.broadcast import Shipped
from scalr.engines.spark.cluster.layout import in_arrow
from scalr.engines.spark.cluster.session import no_pandas_warning
from scalr.engines.spark.drawing.tasks import DrawTables, EmitRows, Work
from scalr.foundation import Bytes, OutputError
from scalr.synthesis import FEW_USERS, PartWriter

_TOLD = "task int, file string, rows bigint, few array<bigint>"
_NOT_SHARED = -1  # rows of a task that did not find the folder


@dataclass(frozen=True, slots=True)
class Filed:
    """Events that tasks have written.

    Attributes:
        rows: Rows, negative ones among them.
        items: Distinct target items.
        few: Events with fewer other users behind them than each of `FEW_USERS`; negative rows do not count.
    """

    rows: int
    items: int
    few: tuple[int, ...]


class ByBits:
    """Brings together bits that tasks set; what a task sets twice is set."""

    def zero(self, value: Bytes) -> Bytes:
        """Return no bits."""
        return np.zeros_like(value)

    def addInPlace(self, one: Bytes, other: Bytes) -> Bytes:  # noqa: N802 - Spark's name
        """Return the bits of both."""
        return one | other


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Writes what a task makes into one file, and gives its name; without rows there is no file."""

    work: Shipped[Work]
    make: DrawTables | EmitRows
    folder: str
    reached: Any

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Work on the parts of a partition."""
        from pyspark import TaskContext

        context = TaskContext.get()
        task, folder = 0 if context is None else context.partitionId(), Path(self.folder)
        if not folder.is_dir():
            yield _told(task, "", _NOT_SHARED, [0] * len(FEW_USERS))
            return
        work = self.work.open()
        file, n_rows = folder / f"{task:05d}-{uuid.uuid4().hex}.parquet", 0
        coded, writer = coded_schema(work), None
        reached, few = np.zeros(len(work.side.target.items), np.bool_), np.zeros(len(FEW_USERS), np.int64)
        try:
            for rows, table in self.make.tables(batches, work.filer):
                writer = writer or PartWriter(file, work.schema, coded)
                writer.write(_typed(table, coded))
                n_rows += len(rows)
                reached[rows.item] = True
                events = rows.support if rows.label is None else rows.support[rows.label == 1]
                few += [np.count_nonzero(events < least) for least in FEW_USERS]
        finally:
            if writer is not None:
                writer.close()
        self.reached.add(np.packbits(reached))
        yield _told(task, file.name if n_rows else "", n_rows, few.tolist())


def _told(task: int, file: str, rows: int, few: list[int]) -> pa.RecordBatch:
    columns = {"task": pa.array([task], pa.int32()), "file": [file], "rows": [rows], "few": [few]}
    return pa.RecordBatch.from_pydict(columns)


def coded_schema(work: Work) -> pa.Schema:
    """Return the columns that Spark shall see, with texts as dictionaries where the builder of files has them so."""
    coded = work.filer.coded
    return pa.schema(
        [
            one.with_type(pa.dictionary(coded.field(one.name).type.index_type, one.type))
            if pa.types.is_dictionary(coded.field(one.name).type)
            else one
            for one in work.schema
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


def write_files(frame: Any, make: DrawTables | EmitRows, shipped: Shipped[Work], work: Work, out: Path) -> Filed:
    """Let tasks write a frame's events into a new folder, which they and the driver share.

    Files appear in it once all tasks are done; one that was begun by a task that failed, or was not needed, does not.

    Args:
        frame: What `make` works on.
        make: Makes the events.
        shipped: The work of `make`.
        work: The same on the driver.
        out: The folder.

    Raises:
        OutputError: If tasks do not see the folder, or the driver not what they wrote.
    """
    growing = out.with_name(f".{out.name}-{uuid.uuid4().hex}")
    growing.mkdir(parents=True)
    try:
        n_bytes = -(-len(work.side.target.items) // 8)
        reached = frame.sparkSession.sparkContext.accumulator(np.zeros(n_bytes, np.uint8), ByBits())
        with no_pandas_warning():
            told = in_arrow(frame, WriteFile(shipped, make, str(growing.absolute()), reached), _TOLD).collect()
        files = {row["task"]: growing / row["file"] for row in told if row["file"]}
        if any(row["rows"] == _NOT_SHARED for row in told) or not all(file.is_file() for file in files.values()):
            raise OutputError(
                f"Spark's tasks wrote the events, but not where '{out}' is for the driver",
                expected="a folder that the driver and all workers share",
                fix="choose an --out on a shared disk, or write the frame of scalr.generate where you want it",
            )
        out.mkdir()
        for task, file in files.items():
            file.rename(out / f"part-{task:05d}.parquet")
        if not files:  # for readers to find columns
            PartWriter(out / "part-00000.parquet", work.schema, coded_schema(work)).close()
    finally:
        shutil.rmtree(growing, ignore_errors=True)
    few = tuple(sum(row["few"][place] for row in told) for place in range(len(FEW_USERS)))
    return Filed(sum(row["rows"] for row in told), int(np.unpackbits(reached.value).sum()), few)
