"""Tables as Arrow: Parquet through PyArrow, CSV and JSON through DuckDB, frames through narwhals."""

from __future__ import annotations

import glob
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scalr.foundation import InputError, SchemaError
from scalr.logs.tables.duckdb_sql import run_query, stream_query
from scalr.logs.tables.files import (
    EXPECTED_FILES,
    check_alike,
    check_column_names,
    csv_header,
    damaged,
    find_files,
    is_text,
)

_MAX_VALUE = 1 << 24  # bytes of a text, DuckDB's limit for JSON; work and memory grow with it
BATCH_ROWS = 1 << 16  # rows per batch: small enough for a cache, large enough to hide the cost of a call
_READ_BUFFER = 1 << 20  # bytes of each column chunk read at a time
_CSV = "delim={delim}, quote='\"', escape='\"', header=true"
_ISO = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
    r"( ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?))?)?"
)
_TEXT_IN_JSON = ("VARCHAR", "DATE", "TIME", "TIMESTAMP", "UUID")  # DuckDB infers all but VARCHAR from text


@dataclass(frozen=True, slots=True, eq=False)
class Tabular:
    """Files or a frame whose columns can be read by name.

    Attributes:
        name: How errors name it: the file, glob or folder, or "the target frame".
        format: "Parquet", "CSV", "JSON" or "frame".
        schema: All columns with their types, in their order.
        files: The files, sorted; empty for a frame.
        frame: The frame, or None for files.
        sql_types: DuckDB's name of the type of each column, for CSV and JSON.
        delimiter: Delimiter of a CSV file.
    """

    name: str
    format: str
    schema: pa.Schema
    files: tuple[Path, ...] = ()
    frame: Any = None
    sql_types: tuple[str, ...] = ()
    delimiter: str = ","


def open_table(source: Any, role: str) -> Tabular:
    """Open files or a frame without reading rows.

    Args:
        source: A path, glob or folder, or a frame (pandas, Polars, PyArrow, DuckDB relation).
        role: Names a frame in errors, such as "target".

    Raises:
        InputError: If there is no such file, or the object is not a supported frame.
        SchemaError: If files are empty or damaged, or two columns have the same name.
    """
    if not isinstance(source, str | Path):
        return _open_frame(source, f"the {role} frame")
    files, format_ = find_files(str(source))
    name = files[0].name if len(files) == 1 else str(source)
    for file in files:
        if file.stat().st_size == 0:
            raise SchemaError(
                f"file '{file}' is empty (0 bytes)",
                expected=EXPECTED_FILES,
                fix="write the file again, or remove it",
            )
    if format_ == "Parquet":
        return _open_parquet(name, files)
    return _open_csv(name, files) if format_ == "CSV" else _open_json(name, files)


def read_columns(table: Tabular, names: Sequence[str], as_text: Collection[str] = ()) -> pa.Table:
    """Read all rows of some columns; see `read_batches`."""
    parts = list(read_batches(table, names, as_text))
    return pa.concat_tables(parts, promote_options="permissive") if parts else _empty(table, names)


def read_batches(table: Tabular, names: Sequence[str], as_text: Collection[str] = ()) -> Iterator[pa.Table]:
    """Yield some columns in batches of at most `BATCH_ROWS` rows, in the order of the rows in the sorted files.

    Args:
        table: The table.
        names: Columns to read, as spelled in `table.schema`.
        as_text: Columns to read as text if the format has only text (CSV), or types are inferred from text (JSON).

    Raises:
        SchemaError: If the files are damaged, or a column mixes types.
    """
    if table.format == "frame":
        whole = _read_frame(table, names)
        for first in range(0, len(whole), BATCH_ROWS):
            yield _validated(whole.slice(first, BATCH_ROWS), table.name)
    elif table.format == "Parquet":
        for file in table.files:
            for batch in _read_parquet(file, names):
                yield _validated(batch, str(file))
    else:
        yield from _read_text(table, names, as_text)


def count_rows(table: Tabular) -> int | None:
    """Return the number of rows without reading them; None where this is impossible (CSV, JSON, lazy frames)."""
    if table.format == "Parquet":
        return sum(int(pq.read_metadata(file).num_rows) for file in table.files)
    return len(table.frame) if table.format == "frame" and hasattr(table.frame, "__len__") else None


def _empty(table: Tabular, names: Sequence[str]) -> pa.Table:
    return pa.schema([table.schema.field(name) for name in names]).empty_table()


def _read_parquet(file: Path, names: Sequence[str]) -> Iterator[pa.Table]:
    """Read a file in a single thread, a row group at a time: a reader of all row groups caches what it has read.

    The reader does not compare the row counts of the footer with the pages, so missing rows are detected here.
    """
    try:
        with pq.ParquetFile(file, buffer_size=_READ_BUFFER) as opened:
            for group in range(opened.num_row_groups):
                batches = opened.iter_batches(BATCH_ROWS, row_groups=[group], columns=list(names), use_threads=False)
                expected, n_rows = opened.metadata.row_group(group).num_rows, 0
                for batch in batches:
                    n_rows += len(batch)
                    yield pa.Table.from_batches([batch]).select(list(names))
                if n_rows != expected:
                    raise pa.ArrowInvalid(f"row group {group} has {n_rows:,} rows, but its footer says {expected:,}")
            n_rows = sum(opened.metadata.row_group(group).num_rows for group in range(opened.num_row_groups))
            if n_rows != opened.metadata.num_rows:
                raise pa.ArrowInvalid(
                    f"the row groups have {n_rows:,} rows, but the footer says {opened.metadata.num_rows:,}"
                )
    except MemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise damaged(str(file), "Parquet", error) from error


def _validated(rows: pa.Table, name: str) -> pa.Table:
    """Refuse text that is not UTF-8 or too long, and values that violate Arrow's format, which readers do not check."""
    for column in rows.column_names:
        try:
            rows[column].validate(full=True)
        except pa.ArrowInvalid as error:
            is_text_broken = "UTF8" in str(error)
            raise SchemaError(
                f"column '{column}' of {name} has text that is not UTF-8" if is_text_broken else f"{name}: {error}",
                expected="text in UTF-8",
                fix="write the column again as UTF-8, or as bytes if it is not text",
            ) from error
        if (longest := _longest_text(rows[column])) > _MAX_VALUE:
            raise SchemaError(
                f"column '{column}' of {name} has a value of {longest:,} bytes",
                expected=f"values of at most {_MAX_VALUE:,} bytes",
                fix="check the file, or remove the row",
            )
    return rows


def _longest_text(column: pa.ChunkedArray) -> int:
    """Return the bytes of the longest text of a column; 0 if the whole column is shorter than the limit."""
    if column.nbytes <= _MAX_VALUE:
        return 0
    parts = [chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk for chunk in column.chunks]
    texts = [part.cast(pa.large_string()) for part in parts if is_text(part.type)]
    return max((pc.max(pc.binary_length(text)).as_py() or 0 for text in texts), default=0)


def _read_text(table: Tabular, names: Sequence[str], as_text: Collection[str]) -> Iterator[pa.Table]:
    types = dict(zip(table.schema.names, table.sql_types, strict=True))
    wanted = {name: _sql_type(table.format, types[name], name in as_text) for name in types}
    if table.format == "CSV":
        options = (
            f"{_csv_options(table.delimiter)}, columns={_struct(wanted)}, auto_detect=false, hive_partitioning=false"
        )
        query = f"SELECT {_list(names)} FROM read_csv({_files(table.files)}, {options})"
    else:
        options = f"columns={_struct({name: wanted[name] for name in names})}, hive_partitioning=false"
        query = f"SELECT {_list(names)} FROM read_json({_files(table.files)}, {options})"
    with _reading(table.name):
        for batch in stream_query(query, BATCH_ROWS):
            rows = pa.Table.from_batches([batch])
            for name in as_text:
                if table.format == "JSON" and types[name] == "JSON" and rows[name].null_count < len(rows):
                    raise SchemaError(
                        f"column '{name}' of {table.name} mixes types",
                        expected="numbers only, or text only",
                        fix="write all of its values as text, or all as numbers",
                    )
            yield rows


def parse_numbers(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Parse text as float64; null where the text is not a number."""
    return _parse(texts, "TRY_CAST(text AS DOUBLE)")


def parse_times(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Parse ISO dates and times as timestamps in UTC, also without a zone; null where the text is neither."""
    return _parse(texts, f"CASE WHEN regexp_full_match(text, '{_ISO}') THEN TRY_CAST(text AS TIMESTAMPTZ) END")


def distinct_rows(table: pa.Table) -> pa.Table:
    """Return the distinct rows of a table, in any order."""
    return run_query("SELECT DISTINCT * FROM data", data=table)


def _open_parquet(name: str, files: tuple[Path, ...]) -> Tabular:
    schemas: list[pa.Schema] = []
    for file in files:
        try:
            schemas.append(pq.read_schema(file))
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            raise damaged(str(file), "Parquet", error) from error
        check_column_names(schemas[-1].names, str(file))
        check_alike(schemas[0], schemas[-1], files[0], file)
    return Tabular(name, "Parquet", schemas[0].remove_metadata(), files)


def _open_csv(name: str, files: tuple[Path, ...]) -> Tabular:
    delimiter, header = csv_header(files[0])
    check_column_names(header, str(files[0]))
    for file in files[1:]:
        if (other := csv_header(file)) != (delimiter, header):
            raise SchemaError(
                f"the header of '{file}' is '{other[0].join(other[1])}'",
                expected=f"that of '{files[0]}': '{delimiter.join(header)}'",
                fix="write all files of one log with the same columns in the same order",
            )
    options = f"{_csv_options(delimiter)}, sample_size=-1, hive_partitioning=false"
    described = _run(f"DESCRIBE SELECT * FROM read_csv({_files(files)}, {options})", name)
    types = described["column_type"].to_pylist()
    if len(types) != len(header):
        types = ["VARCHAR"] * len(header)  # DuckDB took another line for the header; reading names the odd line
    return Tabular(name, "CSV", _arrow_schema(header, types), files, sql_types=tuple(types), delimiter=delimiter)


def _csv_options(delimiter: str) -> str:
    return _CSV.format(delim=_quote(delimiter))


def _open_json(name: str, files: tuple[Path, ...]) -> Tabular:
    options = "sample_size=-1, union_by_name=true, hive_partitioning=false"
    described = _run(f"DESCRIBE SELECT * FROM read_json({_files(files)}, {options})", name)
    names = described["column_name"].to_pylist()
    types = [_sql_type("JSON", type_, True) for type_ in described["column_type"].to_pylist()]
    return Tabular(name, "JSON", _arrow_schema(names, types), files, sql_types=tuple(types))


def _sql_type(format_: str, type_: str, as_text: bool) -> str:
    if not as_text:
        return type_
    if format_ == "CSV" or type_.startswith(_TEXT_IN_JSON) or type_ == "JSON":
        return "VARCHAR" if type_ != "JSON" or format_ == "CSV" else "JSON"
    return type_


def _arrow_schema(names: Sequence[str], types: Sequence[str]) -> pa.Schema:
    columns = ", ".join(f"NULL::{type_} AS {_identifier(name)}" for name, type_ in zip(names, types, strict=True))
    return _run(f"SELECT {columns} LIMIT 0", "schema").schema


def _open_frame(frame: Any, name: str) -> Tabular:
    if isinstance(frame, pa.Table):
        check_column_names(frame.schema.names, name)
        return Tabular(name, "frame", frame.schema.remove_metadata(), frame=frame)
    if _is_relation(frame):
        check_column_names(frame.columns, name)
        return Tabular(name, "frame", frame.limit(0).to_arrow_table().schema, frame=frame)
    import narwhals as nw

    try:
        native = nw.from_native(frame)
        schema = native.collect_schema()
    except nw.exceptions.DuplicateError as error:
        message = " ".join(str(error).split())
        raise SchemaError(
            f"{name}: {message}", expected="column names that differ", fix="rename one of the two"
        ) from error
    except TypeError as error:
        raise InputError(
            f"{name} is a {type(frame).__module__}.{type(frame).__qualname__}",
            expected="a path, or a frame of pandas, Polars, PyArrow or DuckDB",
            fix="pass the path of a file, or convert the object to one of these frames",
        ) from error
    if native.implementation.is_spark_like():
        raise InputError(
            f"{name} is a Spark frame", expected="a frame in memory", fix="write it as Parquet and pass the folder"
        )
    if odd := [column for column in schema if not isinstance(column, str)]:
        raise SchemaError(
            f"{name} has a column {odd[0]!r}", expected="column names that are text", fix="rename its columns"
        )
    check_column_names(list(schema), name)
    fields = [_frame_field(column, dtype) for column, dtype in schema.items()]
    return Tabular(name, "frame", pa.schema(fields), frame=native)


def _is_relation(frame: Any) -> bool:
    """Return whether a frame is a DuckDB relation, without importing DuckDB."""
    duckdb = sys.modules.get("duckdb")
    return duckdb is not None and isinstance(frame, duckdb.DuckDBPyRelation)


def _frame_field(name: str, dtype: Any) -> pa.Field:
    import narwhals as nw

    try:
        return nw.Schema({name: dtype}).to_arrow().field(0)
    except NotImplementedError:  # columns of Python objects have no Arrow type
        return pa.field(name, pa.string())


def _read_frame(table: Tabular, names: Sequence[str]) -> pa.Table:
    frame = table.frame
    if isinstance(frame, pa.Table):
        return frame.select(list(names))
    if _is_relation(frame):
        return frame.project(_list(names)).to_arrow_table()
    import narwhals as nw

    try:
        selected = frame.select(list(names))
        eager = selected.collect() if isinstance(selected, nw.LazyFrame) else selected
        return eager.to_arrow().select(list(names))
    except pa.ArrowException as error:
        raise SchemaError(
            f"{table.name} has a column whose values cannot be converted to a single type: {error.args[-1]}",
            expected="one type per column",
            fix="convert the column, e.g. with .astype(str)",
        ) from error


def _run(query: str, name: str) -> pa.Table:
    with _reading(name):
        return run_query(query)


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Convert DuckDB's errors about files to errors that name the file; internal errors and lack of memory pass."""
    import duckdb

    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.InternalError, duckdb.InterruptException):
        raise
    except duckdb.Error as error:
        raise damaged(name, "a table", error) from error


def _parse(texts: pa.ChunkedArray, expression: str) -> pa.ChunkedArray:
    return run_query(f"SELECT {expression} AS parsed FROM data", data=pa.table({"text": texts}))["parsed"]


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _list(names: Sequence[str]) -> str:
    return ", ".join(_identifier(name) for name in names)


def _files(files: Sequence[Path]) -> str:
    return "[" + ", ".join(_quote(glob.escape(str(file))) for file in files) + "]"


def _struct(types: dict[str, str]) -> str:
    return "{" + ", ".join(f"{_quote(name)}: {_quote(type_)}" for name, type_ in types.items()) + "}"
