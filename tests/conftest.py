"""Small fixtures that several test files share."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from tests.spark_session import session  # noqa: F401 - a fixture

settings.register_profile("scalr", deadline=None, derandomize=True)  # compiling is slow, and tests repeat
settings.load_profile("scalr")

Write = Callable[..., Any]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return `write(table, name)`: a table as the file its suffix says, or as the frame called `name`."""

    def write(table: pa.Table, name: str, folder: Path = tmp_path) -> Any:
        if name == "pandas":
            return table.to_pandas()
        if name in ("polars", "lazy"):
            frame = pl.DataFrame(table)
            return frame.lazy() if name == "lazy" else frame
        if name == "arrow":
            return table
        if name == "duckdb":
            connection = duckdb.connect(":memory:")
            return connection.from_arrow(table)
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".parquet"):
            pq.write_table(table, file)
        elif name.endswith(".csv"):
            pa.csv.write_csv(table, file)
        elif name.endswith(".csv.gz"):
            with gzip.open(file, "wb") as opened:
                pa.csv.write_csv(table, opened)
        else:
            text = "".join(json.dumps(row, default=str) + "\n" for row in table.to_pylist())
            if name.endswith(".gz"):
                file.write_bytes(gzip.compress(text.encode()))
            else:
                file.write_text(text, encoding="utf-8")
        return str(file)

    return write


@pytest.fixture
def small_source() -> pa.Table:
    """Source events of users 1 to 4 on items 10 to 12; user 4 is not in the target."""
    return pa.table(
        {
            "user_id": [1, 1, 2, 2, 3, 4],
            "item_id": [10, 11, 10, 12, 11, 10],
            "timestamp": [1_600_000_000 + second for second in (0, 10, 20, 30, 40, 50)],
        }
    )


@pytest.fixture
def small_target() -> pa.Table:
    """Target events of users 1, 2, 3 and 5 on items 100 to 102, with a price and a column scalr does not read."""
    return pa.table(
        {
            "user_id": [5, 1, 2, 3, 1],
            "item_id": [102, 100, 101, 100, 100],
            "timestamp": [1_600_000_000 + second for second in (5, 15, 25, 35, 55)],
            "price": [1.5, 2.0, 0.0, 4.25, 2.0],
            "shop": ["a", "b", "a", None, "b"],
        }
    )
