"""The memory limit of a run, and how many threads and rows fit into it."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalr.foundation.errors import ConfigError, InputError
from scalr.foundation.receipts import peak_rss_bytes

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_FREE_SHARE = 0.75  # default limit, as a share of the free memory
_BASE = 350 << 20  # bytes for the program, the ids, the target log and buffers
_PER_THREAD = 160 << 20  # bytes for the events, rows, tables and compressed pages of a part
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # of malloc.h
_LARGE = 8 << 20  # bytes from which an array has its own pages; smaller arrays are reused by the next chunk
_PER_ROW = 200  # peak bytes per sorted row
_MIN_ROWS = 1 << 16
MIN_MEMORY = 512 << 20
"""The smallest memory limit that a run can respect, in bytes."""


@dataclass(frozen=True, slots=True)
class Room:
    """Memory, threads and disk space that a run may use.

    Attributes:
        memory_limit: Bytes that the process may use; None for no limit.
        threads: Number of threads.
        folder: A folder for events that do not fit in memory; None to hold all events in memory.
    """

    memory_limit: int | None = None
    threads: int = 1
    folder: Path | None = None

    def holds(self, bytes_needed: int) -> bool:
        """Return whether so many bytes of events fit in memory beside the rest of the process."""
        return self.folder is None or self.memory_limit is None or bytes_needed < self.memory_limit - _BASE

    def clear(self) -> None:
        """Remove the folder, and return unused memory to the system."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        trim = _c_function("malloc_trim")
        if trim is not None:
            trim(0)


@contextmanager
def room(folder: Path, memory_limit: int | None, threads: int | None) -> Iterator[Room]:
    """Yield the limits of a run, and remove its folder at the end.

    Args:
        folder: Takes events that do not fit in memory; it need not exist.
        memory_limit: Bytes; 75 % of the free memory if None.
        threads: Number of threads; the number of cores if None.
    """
    limit = memory_limit or int(_FREE_SHARE * free_bytes())
    limits = Room(limit, threads or os.cpu_count() or 1, folder)
    try:
        yield limits
    finally:
        limits.clear()


def threads_within(room: Room, n_users: int) -> int:
    """Return the number of threads, at least 1, whose parts fit in memory together.

    Args:
        room: The limits of the run.
        n_users: Number of users; each thread has an array of them.

    Raises:
        InputError: If reading the logs has taken more than the memory limit.
    """
    if room.memory_limit is None:
        return room.threads
    used = peak_rss_bytes()
    if used > room.memory_limit:
        raise InputError(
            f"the memory limit is {format_bytes(room.memory_limit)}, but reading the logs took {format_bytes(used)}",
            expected="memory for the ids of all users and items, and for the target log",
            fix=f"raise --memory-limit to at least {format_bytes(used + _PER_THREAD)}",
        )
    return max(1, min(room.threads, (room.memory_limit - used) // (_PER_THREAD + 4 * n_users)))


def rows_within(room: Room, max_rows: int) -> int:
    """Return how many rows can be sorted together in the memory that is left, at most `max_rows`."""
    if room.memory_limit is None:
        return max_rows
    return max(_MIN_ROWS, min(max_rows, (room.memory_limit - peak_rss_bytes()) // _PER_ROW))


def use_lean_allocator() -> None:
    """Make the process return unused memory to the system soon; for commands, not for libraries.

    Arrow allocates with jemalloc if it is available. GNU's C library returns large arrays at once, instead of caching
    up to 32 MB of each, and uses one heap for all threads.
    """
    import pyarrow as pa

    if "jemalloc" in pa.supported_memory_backends() and "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
        pa.set_memory_pool(pa.jemalloc_memory_pool())
        pa.jemalloc_set_decay_ms(0)
    mallopt = _c_function("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_ARENA_MAX, 1)


def _c_function(name: str) -> Any:
    """Return a function of GNU's C library; None on other systems."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def free_bytes() -> int:
    """Return the available memory in bytes, or all memory on systems that do not report it."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) << 10
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def parse_bytes(text: str) -> int:
    """Return a size such as "8GB", "500 MiB" or "2000000000" in bytes; units are powers of 1024.

    Raises:
        ConfigError: If the text is not a size, or the size is below `MIN_MEMORY`.
    """
    plain = text.strip().lower().removesuffix("b").removesuffix("i").strip()
    unit = plain[-1:] if plain[-1:].isalpha() else ""
    try:
        size = int(float(plain.removesuffix(unit)) * _UNITS[unit])
    except (ValueError, KeyError, OverflowError) as error:
        raise ConfigError(
            f"the memory limit is '{text}'", expected="a size such as 8GB or 500MB", fix="write a number and a unit"
        ) from error
    if size < MIN_MEMORY:
        raise ConfigError(
            f"the memory limit is '{text}', less than the program itself needs",
            expected=f"at least {format_bytes(MIN_MEMORY)}",
            fix="raise --memory-limit",
        )
    return size


def format_bytes(size: int) -> str:
    """Return a size in MB or GB, such as "1.5 GB"."""
    return f"{size / (1 << 30):.1f} GB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MB"
