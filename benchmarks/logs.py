"""Simulate two logs with shared users and skewed popularity; a size determines them: `python -m benchmarks.logs`.

Ranks are `n * u ** exponent` of a uniform u: the item of rank r has probability proportional to r ** (-2/3), the user
of rank r to r ** (-1/3). The number of an id is its rank, shuffled by a prime, so that popular ids are not neighbours
in any order. Ids are strings; times are seconds of one year, ascending. The same users are active in both domains, with
five source events for each target event.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a pair of logs."""

    source_events: int
    target_events: int
    users: int
    source_items: int
    target_items: int

    def events_and_items(self, domain: str) -> tuple[int, int]:
        """Return the number of events and items of "source" or "target"."""
        source = domain == "source"
        return (self.source_events, self.source_items) if source else (self.target_events, self.target_items)


SIZES = {
    "tiny": Size(2_000, 500, 200, 50, 30),
    "A": Size(1_000_000, 200_000, 100_000, 20_000, 5_000),
    "B": Size(10_000_000, 2_000_000, 1_000_000, 200_000, 50_000),
    "H": Size(10_000_000, 2_000_000, 100_000, 200_000, 50_000),
    "C": Size(100_000_000, 20_000_000, 10_000_000, 2_000_000, 500_000),
}
DOMAINS = ("source", "target")
BATCH_ROWS = 1 << 20  # rows made at a time, and per row group
_LAW = 2  # version of the law: increases when the same size gives other events
_SEED = 20260529
_USER_EXPONENT = 1.5
_ITEM_EXPONENT = 3.0
_SHUFFLE = 2_654_435_761  # a prime above every n, so that rank * prime modulo n is a permutation
_DIGITS = 8
_YEAR_SECONDS = 365 * 86_400
_START = 1_700_000_000  # seconds since 1970, 14 November 2023


def batches(size: Size, domain: str) -> Iterator[tuple[Int64, Int64, Int64]]:
    """Yield numbers of users, numbers of items and times, `BATCH_ROWS` events at a time."""
    events, items = size.events_and_items(domain)
    for first in range(0, events, BATCH_ROWS):
        rows = min(BATCH_ROWS, events - first)
        generator = np.random.default_rng([_SEED, DOMAINS.index(domain), first])
        users = _numbers(generator, size.users, rows, _USER_EXPONENT)
        begin, end = (_YEAR_SECONDS * row // events for row in (first, first + rows))
        yield (
            users,
            _numbers(generator, items, rows, _ITEM_EXPONENT),
            np.sort(generator.integers(_START + begin, _START + end, rows)),
        )


def write_logs(size: Size, folder: Path) -> tuple[Path, Path]:
    """Write `source.parquet` and `target.parquet` into an existing folder and return their paths."""
    kinds = pa.schema({"user_id": pa.string(), "item_id": pa.string(), "timestamp": pa.int64()})
    for domain in DOMAINS:
        with pq.ParquetWriter(folder / f"{domain}.parquet", kinds) as writer:
            for users, items, times in batches(size, domain):
                columns = [_names("user", users), _names(domain, items), pa.array(times)]
                writer.write_table(pa.table(columns, schema=kinds), row_group_size=BATCH_ROWS)
    return folder / "source.parquet", folder / "target.parquet"


def cached_logs(name: str, root: Path) -> tuple[Path, Path]:
    """Return the logs of a size below `root`; if they are missing or of another law, both are made again."""
    folder, law = root / name, json.dumps({"law": _LAW, **asdict(SIZES[name])}) + "\n"
    stored = folder / "law.json"
    if not stored.exists() or stored.read_text() != law:
        root.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=root))
        try:
            write_logs(SIZES[name], new)
            (new / "law.json").write_text(law)
            shutil.rmtree(folder, ignore_errors=True)
            new.rename(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return folder / "source.parquet", folder / "target.parquet"


def _numbers(generator: np.random.Generator, n: int, rows: int, exponent: float) -> Int64:
    ranks = np.minimum(n * generator.random(rows) ** exponent, n - 1).astype(np.int64)
    numbers: Int64 = ranks * _SHUFFLE % n
    return numbers


def _names(prefix: str, numbers: Int64) -> pa.Array:
    """Return `prefix_00000042` for 42; built as bytes, because a list of Python strings would take most of the time."""
    letters = np.frombuffer(f"{prefix}_".encode(), np.uint8)
    text = np.empty((len(numbers), len(letters) + _DIGITS), np.uint8)
    text[:, : len(letters)] = letters
    for place in range(1, _DIGITS + 1):
        numbers, digit = np.divmod(numbers, 10)
        text[:, -place] = digit + ord("0")
    offsets = np.arange(len(text) + 1, dtype=np.int32) * text.shape[1]
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(text))


def main() -> None:
    """Make the logs of the size on the command line if they are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("root", type=Path, nargs="?", default=Path("benchmark-output/logs"))
    options = parser.parse_args()
    print(*cached_logs(options.size, options.root), sep="\n")


if __name__ == "__main__":
    main()
