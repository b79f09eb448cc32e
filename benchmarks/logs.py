"""Make two event logs with shared users and skewed popularity, the same for the same size: `python -m benchmarks.logs`.

Ranks are `n * u ** exponent` of a uniform u: the item of rank r is taken in proportion to r ** (-2/3), and the user of
rank r acts in proportion to r ** (-1/3). Ids are strings, times are seconds of one year. The same users are active in
both domains, ten source events and two target events each on average.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True, slots=True)
class Size:
    """How large a pair of logs is."""

    source_events: int
    target_events: int
    users: int
    source_items: int
    target_items: int


SIZES = {
    "tiny": Size(2_000, 500, 200, 50, 30),
    "A": Size(1_000_000, 200_000, 100_000, 20_000, 5_000),
    "B": Size(10_000_000, 2_000_000, 1_000_000, 200_000, 50_000),
}
_USER_EXPONENT = 1.5
_ITEM_EXPONENT = 3.0
_YEAR_SECONDS = 365 * 86_400
_START = 1_700_000_000  # seconds since 1970, 14 November 2023


def write_logs(size: Size, folder: Path) -> tuple[Path, Path]:
    """Write `source.parquet` and `target.parquet` and return their places."""
    generator = np.random.default_rng(20260529)
    users = _names("user", size.users)
    files = []
    for name, events, items in (
        ("source", size.source_events, size.source_items),
        ("target", size.target_events, size.target_items),
    ):
        table = pa.table(
            {
                "user_id": users.take(pa.array(_ranks(generator, size.users, events, _USER_EXPONENT))),
                "item_id": _names(name, items).take(pa.array(_ranks(generator, items, events, _ITEM_EXPONENT))),
                "timestamp": np.sort(generator.integers(_START, _START + _YEAR_SECONDS, events)),
            }
        )
        files.append(folder / f"{name}.parquet")
        pq.write_table(table, files[-1])
    return files[0], files[1]


def _ranks(generator: np.random.Generator, n: int, events: int, exponent: float) -> npt.NDArray[np.int64]:
    return np.minimum(n * generator.random(events) ** exponent, n - 1).astype(np.int64)


def _names(prefix: str, n: int) -> pa.Array:
    return pa.array([f"{prefix}_{number:08d}" for number in range(n)])


def main() -> None:
    """Write the logs of the size named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    write_logs(SIZES[options.size], options.folder)


if __name__ == "__main__":
    main()
