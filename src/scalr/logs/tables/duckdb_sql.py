"""Queries in DuckDB: one database in memory per process, a session per query."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa

from scalr.foundation import SchemaError
from scalr.logs.tables.files import first_lines

if TYPE_CHECKING:
    import duckdb


@cache
def _database() -> duckdb.DuckDBPyConnection:
    import duckdb  # on first use: Parquet logs do not need it

    database = duckdb.connect(":memory:")
    for setting in ("autoinstall_known_extensions=false", "autoload_known_extensions=false"):  # never from the network
        database.sql(f"SET GLOBAL {setting}")
    database.sql("SET GLOBAL TimeZone='UTC'")  # not in connect(): there the linked-in extension is not loaded yet
    return database


def run_query(query: str, **tables: pa.Table) -> pa.Table:
    """Run a query on tables; times without a zone are UTC.

    Args:
        query: SQL.
        tables: Tables by the name that the query has for them.

    Raises:
        SchemaError: If a column has a type or values that DuckDB cannot convert.
    """
    import duckdb

    with _database().cursor() as session:
        for name, table in tables.items():
            session.register(name, _without_halves(table))
        try:
            return session.sql(query).to_arrow_table()
        except (duckdb.NotImplementedException, duckdb.InternalException, duckdb.FatalException) as error:
            if not isinstance(error, duckdb.NotImplementedException):
                _database.cache_clear()  # after such an error the database refuses all queries
            if not tables:
                raise
            raise SchemaError(
                f"a column has a type that DuckDB does not support, or values out of its range: {first_lines(error)}",
                expected="numbers, text, times, and lists or structs of them",
                fix="cast the column, or remove it",
            ) from error


def _without_halves(table: pa.Table) -> pa.Table:
    """Return a table with float16, which DuckDB does not support, as float32."""
    fields = [field.with_type(pa.float32()) if pa.types.is_float16(field.type) else field for field in table.schema]
    return table.cast(pa.schema(fields, table.schema.metadata))


def stream_query(query: str, rows: int) -> Iterator[pa.RecordBatch]:
    """Run a query and yield its result in batches of about `rows` rows."""
    with _database().cursor() as session:
        yield from session.sql(query).to_arrow_reader(rows)
