"""DuckDB in memory: one database per process, a session per query."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa

from scalr.foundation import SchemaError

if TYPE_CHECKING:
    import duckdb


@cache
def _database() -> duckdb.DuckDBPyConnection:
    import duckdb  # on first use: Parquet logs do without

    database = duckdb.connect(":memory:")
    for setting in ("autoinstall_known_extensions=false", "autoload_known_extensions=false"):  # never from the network
        database.sql(f"SET GLOBAL {setting}")
    database.sql("SET GLOBAL TimeZone='UTC'")  # not in connect(): there the linked-in extension is not loaded yet
    return database


def run_query(query: str, **tables: pa.Table) -> pa.Table:
    """Run a query, in which `tables` go by their names; times without a zone are UTC."""
    import duckdb

    with _database().cursor() as session:
        for name, table in tables.items():
            session.register(name, _known(table))
        try:
            return session.sql(query).to_arrow_table()
        except (duckdb.NotImplementedException, duckdb.InternalException, duckdb.FatalException) as error:
            if not isinstance(error, duckdb.NotImplementedException):
                _database.cache_clear()  # after such an error it answers nothing any more
            if not tables:
                raise
            said = " ".join(str(error).split("\n\n")[0].split())
            raise SchemaError(
                f"a column has a type that DuckDB does not know, or values out of its range: {said}",
                expected="numbers, text, times, and lists or structs of them",
                fix="cast the column, or leave it out",
            ) from error


def _known(table: pa.Table) -> pa.Table:
    """Return a table without halves, which DuckDB does not know, as the same numbers in single precision."""
    fields = [one.with_type(pa.float32()) if pa.types.is_float16(one.type) else one for one in table.schema]
    return table.cast(pa.schema(fields, table.schema.metadata))


def stream_query(query: str, rows: int) -> Iterator[pa.RecordBatch]:
    """Run a query and give its result in batches of about `rows` rows, without holding it whole."""
    with _database().cursor() as session:
        yield from session.sql(query).to_arrow_reader(rows)
