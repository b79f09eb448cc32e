"""DuckDB in memory: one database per process, a session per query."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa

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


def run(query: str, **tables: pa.Table) -> pa.Table:
    """Run a query, in which `tables` go by their names; times without a zone are UTC."""
    with _database().cursor() as session:
        for name, table in tables.items():
            session.register(name, table)
        return session.sql(query).to_arrow_table()


def stream(query: str, rows: int) -> Iterator[pa.RecordBatch]:
    """Run a query and give its result in batches of about `rows` rows, without holding it whole."""
    with _database().cursor() as session:
        yield from session.sql(query).to_arrow_reader(rows)
