"""Data frames, Hugging Face datasets and Parquet: the user's own columns, `is_synthetic` and `weight`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from scalr.adapters.training_events import TrainingEvents
from scalr.foundation import require_extra

if TYPE_CHECKING:
    import datasets
    import duckdb
    import pandas
    import polars

_FILE_ROWS = 1 << 22  # rows of a Parquet file


def arrow(events: TrainingEvents) -> pa.Table:
    """Return the training table as Arrow."""
    return pa.Table.from_batches(_record_batches(events), schema=events.schema)


def pandas_frame(events: TrainingEvents) -> pandas.DataFrame:
    """Return the training table as a pandas frame; integer columns with nulls become floats, as pandas has it."""
    require_extra("pandas", "adapters")
    return arrow(events).to_pandas()


def polars_frame(events: TrainingEvents) -> polars.DataFrame:
    """Return the training table as a Polars frame."""
    frame: polars.DataFrame = require_extra("polars", "adapters").from_arrow(arrow(events))
    return frame


def duckdb_relation(events: TrainingEvents, connection: Any = None) -> duckdb.DuckDBPyRelation:
    """Return the training table as a DuckDB relation of `connection`, a new one in memory if None."""
    import duckdb

    opened = duckdb.connect() if connection is None else connection
    relation: duckdb.DuckDBPyRelation = opened.from_arrow(arrow(events))
    return relation


def huggingface_dataset(events: TrainingEvents, cache: Path | None = None) -> datasets.Dataset:
    """Return the training table as a Hugging Face dataset, in memory; with `cache`, mapped from Parquet written there.

    Raises:
        MissingExtraError: If `datasets` is not installed.
    """
    library = require_extra("datasets", "adapters")
    if cache is None:
        data: datasets.Dataset = library.Dataset(arrow(events))
        return data
    cache.mkdir(parents=True, exist_ok=True)
    write_parquet(events, cache)
    files = [str(file) for file in sorted(cache.glob("part-*.parquet"))]
    mapped: datasets.Dataset = library.Dataset.from_parquet(files, cache_dir=str(cache / "mapped"))
    return mapped


def write_parquet(events: TrainingEvents, folder: Path) -> int:
    """Write `part-*.parquet` into an existing folder, a batch at a time; return the rows."""
    return write_tables(events.tables(), events.schema, folder)


def write_tables(tables: Iterator[pa.Table], schema: pa.Schema, folder: Path) -> int:
    """Write tables of one schema as `part-*.parquet`; return the rows."""
    rows, in_file, number = 0, 0, 0
    writer = pq.ParquetWriter(folder / "part-00000.parquet", schema, compression="zstd")
    try:
        for table in tables:
            if in_file >= _FILE_ROWS:
                writer.close()
                number, in_file = number + 1, 0
                writer = pq.ParquetWriter(folder / f"part-{number:05d}.parquet", schema, compression="zstd")
            writer.write_table(table)
            rows, in_file = rows + len(table), in_file + len(table)
    finally:
        writer.close()
    return rows


def _record_batches(events: TrainingEvents) -> list[pa.RecordBatch]:
    return [batch for table in events.tables() for batch in table.to_batches()]
