"""Draw from the paths of a size's events, kept as codes, and nothing else: `python -m benchmarks.kernel --size B`.

Prints draws per processor second for each number of threads, without and with confidence and support. The output of
a chunk is overwritten by the next, as the pipeline does.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.logs import SIZES, Size, batches

from scalr.foundation.kernels.hashing import integer_keys
from scalr.synthesis.kernels.path_layout import Draws, Paths, make_workspace
from scalr.synthesis.kernels.uniform_paths import draw_uniform_paths

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

CHUNK_DRAWS = 1 << 20
_LEAST_DRAWS = 100_000_000  # timed at least, so that small sizes are not over at once
_STREAM = np.uint64(1)


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Source events sorted by (item, user), and every user's distinct target items, ascending.

    The last two are the most events, and paths, that one source item has.
    """

    event_key: npt.NDArray[np.uint64]
    event_user: Int32
    item_start: Int64
    target_start: Int64
    target_item: Int32
    n_target: int
    max_events: int
    max_paths: int


def codes_of(size: Size) -> Codes:
    """Return the events of a size as codes, the numbers in its ids."""
    events = np.sort(_joined(size, "source"))
    user, item = (events & 0xFFFFFFFF).astype(np.int32), events >> 32
    item_start = np.searchsorted(item, np.arange(size.source_items + 1))
    target = _joined(size, "target")
    target = np.unique((target & 0xFFFFFFFF) << 32 | target >> 32)
    target_start = np.searchsorted(target >> 32, np.arange(size.users + 1))
    held = np.diff(target_start)[user]
    held[1:][events[1:] == events[:-1]] = 0  # a user's further events with the item bring no further paths
    ends = np.concatenate(([0], np.cumsum(held)))
    return Codes(
        event_key=integer_keys(np.arange(len(user))),
        event_user=user,
        item_start=item_start,
        target_start=target_start,
        target_item=(target & 0xFFFFFFFF).astype(np.int32),
        n_target=size.target_items,
        max_events=int(np.diff(item_start).max()),
        max_paths=int(np.diff(ends[item_start]).max()),
    )


def _joined(size: Size, domain: str) -> Int64:
    """Return all events of a domain, the item in the upper half of each number and the user in the lower."""
    return np.concatenate([item << 32 | user for user, item, _ in batches(size, domain)])


class Sampler:
    """What one thread needs to draw: the kernel's workspace and the output of one chunk."""

    def __init__(self, codes: Codes, draws: int, *, confidence: bool) -> None:
        self.codes, self.draws = codes, draws
        self.workspace = make_workspace(codes.max_events, codes.max_paths, codes.n_target, weighted=False)
        filled = CHUNK_DRAWS if confidence else 0
        self.item = np.empty(CHUNK_DRAWS, np.int32)
        self.confidence, self.support = np.empty(filled, np.float32), np.empty(filled, np.int32)
        none32, none64 = np.empty(0, np.int32), np.empty(0, np.int64)
        self.paths = Paths(
            user=codes.event_user,
            contributes=np.empty(0, np.bool_),
            time=none64,
            item_start=codes.item_start,
            target_start=codes.target_start,
            target_item=codes.target_item,
            recent_start=none64,
            recent_item=none32,
            recent_time=none64,
            window=-1,
        )

    def draw(self, rows: tuple[int, int]) -> int:
        """Draw for the events [rows[0], rows[1]), into `item`, `confidence` and `support`; return how many draws."""
        n, key = (rows[1] - rows[0]) * self.draws, self.codes.event_key[rows[0] : rows[1]]
        drawn = Draws(key, self.item[:n], self.confidence[:n], self.support[:n])
        draw_uniform_paths(self.workspace, self.paths, rows, self.draws, _STREAM, drawn)
        return n


def chunks(codes: Codes, draws: int) -> Iterator[tuple[int, int]]:
    """Cut the events into ranges of at most `CHUNK_DRAWS` draws."""
    n, step = len(codes.event_user), CHUNK_DRAWS // draws
    for first in range(0, n, step):
        yield first, min(first + step, n)


def speed(codes: Codes, draws: int, threads: int, *, confidence: bool, least: int = _LEAST_DRAWS) -> dict[str, float]:
    """Time drawing for all events, as often as `least` draws need.

    Returns:
        Draws per second of processor time and of elapsed time; threads count together.
    """
    samplers = [Sampler(codes, draws, confidence=confidence) for _ in range(threads)]
    ranges = list(chunks(codes, draws))
    for sampler in samplers:
        sampler.draw(ranges[0])  # compiles, and touches its memory
    passes = max(1, -(-least // (len(codes.event_user) * draws)))

    def work(thread: int) -> int:
        return sum(samplers[thread].draw(rows) for _ in range(passes) for rows in ranges[thread::threads])

    with ThreadPoolExecutor(threads) as pool:
        wall, cpu = time.perf_counter(), time.process_time()
        n = sum(pool.map(work, range(threads)))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"draws_per_cpu_second": n / cpu, "draws_per_second": n / wall}


def kernel_speeds(size: Size, draws: int, least: int = _LEAST_DRAWS) -> dict[str, Any]:
    """Return the speeds of one and two threads, without and with confidence."""
    codes = codes_of(size)
    return {
        f"{what}, {threads} thread{'s' if threads > 1 else ''}": speed(
            codes, draws, threads, confidence=what == "confidence", least=least
        )
        for threads in (1, 2)
        for what in ("draws", "confidence")
    }


def main() -> None:
    """Print the speeds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="A")
    parser.add_argument("--draws", type=int, default=10)
    options = parser.parse_args()
    print(json.dumps(kernel_speeds(SIZES[options.size], options.draws)))


if __name__ == "__main__":
    main()
