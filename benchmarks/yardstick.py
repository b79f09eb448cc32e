"""Memory speed of this machine for one thread: `python -m benchmarks.yardstick` prints it as JSON.

Random reads are independent reads of 8 bytes at hashed positions of a 1 GiB array. Sequential reads sum the same array.
Seconds are processor seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation.kernels.hashing import GOLDEN, U64, mix

GIBIBYTE = 1 << 30
READS = 1 << 27


@njit(nogil=True)
def _read_at_random(values: npt.NDArray[np.int64], reads: int) -> int:
    """Sum `reads` values at hashed positions; the length is a power of two."""
    mask = U64(values.shape[0] - 1)
    total = 0
    for x in range(reads):
        total += values[mix(U64(x) * GOLDEN) & mask]
    return total


@njit(nogil=True)
def _read_in_order(values: npt.NDArray[np.int64]) -> int:
    total = 0
    for x in range(values.shape[0]):
        total += values[x]
    return total


def yardstick(n_bytes: int = GIBIBYTE, reads: int = READS) -> dict[str, float]:
    """Return random reads and sequential bytes per CPU second.

    Args:
        n_bytes: Size of the array, a power of two.
        reads: Number of timed random reads.
    """
    values = np.arange(n_bytes // 8, dtype=np.int64)
    _read_at_random(values[:8], 8), _read_in_order(values[:8])
    random, ordered = _seconds(_read_at_random, values, reads), _seconds(_read_in_order, values)
    return {"random_reads_per_second": reads / random, "sequential_bytes_per_second": values.nbytes / ordered}


def _seconds(function: Any, *arguments: Any) -> float:
    start = time.process_time()
    function(*arguments)
    return max(time.process_time() - start, 1e-9)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=1024, help="size of the array, a power of two")
    n_bytes = parser.parse_args().mebibytes << 20
    print(json.dumps(yardstick(n_bytes, min(READS, n_bytes))))


if __name__ == "__main__":
    main()
