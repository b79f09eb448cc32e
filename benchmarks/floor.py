"""Lower bound on the cost of generating: read the required columns and write the rows that scalr wrote.

`python -m benchmarks.floor read WAY SOURCE TARGET` reads both logs, `… write WAY FOLDER` writes the rows of a run
again; both print processor seconds as JSON. Every way has about a million rows in memory at a time. A writer gets its
rows in its preferred form, ids as dictionaries; only its own calls are timed. Encodings, pages and statistics are
free; columns, types and zstd are fixed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = ["user_id", "item_id", "timestamp"]
IDS = ["user_id", "item_id", "source_domain", "source_item", "generation_id"]
BATCH_ROWS = 1 << 20

_PLAIN: dict[str, Any] = {"use_dictionary": IDS, "write_statistics": False, "dictionary_pagesize_limit": 1 << 26}
ARROW_WRITERS: dict[str, dict[str, Any]] = {
    "arrow": {},
    "arrow-ids": {"use_dictionary": IDS},
    "arrow-ids-bare": _PLAIN,
    "arrow-ids-bare-256k": {**_PLAIN, "data_page_size": 1 << 18},
    "arrow-ids-bare-split": {**_PLAIN, "column_encoding": {"confidence": "BYTE_STREAM_SPLIT"}},
}
"""Options of PyArrow's writer: dictionaries for ids only; no statistics either; small pages, or floats split."""


def _read_arrow(file: Path, dictionaries: list[str] | None = None) -> int:
    with pq.ParquetFile(file, read_dictionary=dictionaries) as opened:
        return sum(len(batch) for batch in opened.iter_batches(1 << 17, columns=COLUMNS, use_threads=False))


def _read_arrow_dictionaries(file: Path) -> int:
    return _read_arrow(file, COLUMNS[:2])


def _read_duckdb(file: Path) -> int:
    import duckdb

    query = f"SELECT {', '.join(COLUMNS)} FROM read_parquet('{file}')"
    return sum(len(batch) for batch in duckdb.connect().sql(query).to_arrow_reader(1 << 17))


def _read_polars(file: Path) -> int:
    import polars as pl

    rows, log = 0, pl.scan_parquet(file).select(COLUMNS)
    while batch := len(log.slice(rows, BATCH_ROWS).collect()):
        rows += batch
    return rows


READERS: dict[str, Callable[[Path], int]] = {
    "arrow": _read_arrow,
    "arrow-dictionaries": _read_arrow_dictionaries,
    "duckdb": _read_duckdb,
    "polars": _read_polars,
}


class Clock:
    """Sum of processor and elapsed seconds inside `with` blocks."""

    def __init__(self) -> None:
        self.cpu_seconds = self.wall_seconds = 0.0

    def __enter__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.cpu_seconds += time.process_time() - self._cpu
        self.wall_seconds += time.perf_counter() - self._wall


def _write_arrow(tables: Iterator[pa.Table], out: Path, clock: Clock, options: dict[str, Any]) -> None:
    writer = None
    for table in tables:
        with clock:
            writer = writer or pq.ParquetWriter(
                out / "all.parquet", table.schema, compression="zstd", compression_level=1, **options
            )
            writer.write_table(table)
    if writer:
        with clock:
            writer.close()


def _write_polars(tables: Iterator[pa.Table], out: Path, clock: Clock) -> None:
    import polars as pl

    for number, table in enumerate(tables):
        frame = pl.DataFrame(table)
        with clock:
            frame.write_parquet(out / f"{number}.parquet", compression="zstd", compression_level=1, statistics=False)


def _write_duckdb(tables: Iterator[pa.Table], out: Path, clock: Clock) -> None:
    import duckdb

    connection = duckdb.connect()
    options = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
    for number, table in enumerate(tables):
        connection.register("rows_of_now", table)
        with clock:
            connection.execute(f"COPY (FROM rows_of_now) TO '{out / f'{number}.parquet'}' ({options})")
        connection.unregister("rows_of_now")


WRITERS = (*ARROW_WRITERS, "polars", "duckdb")


def read(way: str, files: tuple[Path, Path]) -> dict[str, float]:
    """Read both logs in one way."""
    READERS[way](files[1])  # starts threads and loads code
    clock = Clock()
    with clock:
        rows = sum(READERS[way](file) for file in files)
    return {"cpu_seconds": clock.cpu_seconds, "wall_seconds": clock.wall_seconds, "rows": rows}


def write(way: str, folder: Path) -> dict[str, float]:
    """Write the rows in the Parquet files of a folder again in one way; the new files are removed."""
    with TemporaryDirectory(prefix="floor-", dir=folder.parent) as out:
        return write_into(way, folder, Path(out))


def write_into(way: str, folder: Path, out: Path) -> dict[str, float]:
    """Write the rows in the Parquet files of a folder into another folder."""
    rows, clock = 0, Clock()

    def tables() -> Iterator[pa.Table]:
        nonlocal rows
        for file in sorted(folder.glob("*.parquet")):
            with pq.ParquetFile(file, read_dictionary=IDS) as opened:
                for group in range(opened.num_row_groups):
                    table = opened.read_row_group(group, use_threads=False)
                    rows += len(table)
                    yield table

    if way in ARROW_WRITERS:
        _write_arrow(tables(), out, clock, ARROW_WRITERS[way])
    else:
        {"polars": _write_polars, "duckdb": _write_duckdb}[way](tables(), out, clock)
    written = sum(file.stat().st_size for file in out.iterdir())
    return {"cpu_seconds": clock.cpu_seconds, "wall_seconds": clock.wall_seconds, "rows": rows, "bytes": written}


def main() -> None:
    """Print the cost of reading or writing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("read", "write"))
    parser.add_argument("way", choices=sorted({*READERS, *WRITERS}))
    parser.add_argument("places", type=Path, nargs="+")
    options = parser.parse_args()
    if options.what == "read":
        print(json.dumps(read(options.way, (options.places[0], options.places[1]))))
    else:
        print(json.dumps(write(options.way, options.places[0])))


if __name__ == "__main__":
    main()
