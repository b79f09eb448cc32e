"""DuckDB in memory: one database per process, a session per query."""

from __future__ import annotations

from functools import cache

import duckdb
import pyarrow as pa


@cache
def _database() -> duckdb.DuckDBPyConnection:
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
