"""How much memory a run may take: what is free, what the user allows, and how many threads fit into it."""

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
_FREE_SHARE = 0.75  # of the free memory is taken where the user says nothing
_BESIDE = 350 << 20  # bytes for the program, the ids, the target log and buffers
_PER_THREAD = 160 << 20  # bytes for the events, rows, tables and compressed pages of a part
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # of malloc.h
_LARGE = 8 << 20  # bytes from which an array gets pages of its own; smaller ones are used again by the next chunk
_PER_ROW = 200  # bytes that sorting rows takes at its peak
_LEAST_ROWS = 1 << 16
LEAST = 512 << 20
"""The smallest limit that can be kept, in bytes."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a run may use.

    Attributes:
        memory_limit: Bytes that the process may take; None for no limit.
        threads: Threads at a time.
        folder: A folder for events that do not fit in memory; None to hold them whatever it takes.
    """

    memory_limit: int | None = None
    threads: int = 1
    folder: Path | None = None

    def holds(self, bytes_needed: int) -> bool:
        """Say whether so many bytes of events fit in memory beside everything else."""
        return self.folder is None or self.memory_limit is None or bytes_needed < self.memory_limit - _BESIDE

    def clear(self) -> None:
        """Remove what was put into the folder, and give memory back that is not used any more."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        trim = _of_the_c_library("malloc_trim")
        if trim is not None:
            trim(0)


@contextmanager
def room(folder: Path, memory_limit: int | None, threads: int | None) -> Iterator[Room]:
    """Give room for a run; what it puts aside is removed at the end.

    Args:
        folder: For what does not fit in memory; it need not exist.
        memory_limit: Bytes; most of the free memory if None.
        threads: Threads; as many as there are cores if None.
    """
    limit = memory_limit or int(_FREE_SHARE * free_bytes())
    given = Room(limit, threads or os.cpu_count() or 1, folder)
    try:
        yield given
    finally:
        given.clear()


def threads_within(room: Room, n_users: int) -> int:
    """Return how many parts may be worked on at a time, at least 1.

    Raises:
        InputError: If the logs alone take all of the memory that is allowed.
    """
    if room.memory_limit is None:
        return room.threads
    taken = peak_rss_bytes()
    if taken > room.memory_limit:
        raise InputError(
            f"the memory limit is {format_bytes(room.memory_limit)}, but reading the logs took {format_bytes(taken)}",
            expected="room for the ids of all users and items, and for the target log",
            fix=f"raise --memory-limit to at least {format_bytes(taken + _PER_THREAD)}",
        )
    return max(1, min(room.threads, (room.memory_limit - taken) // (_PER_THREAD + 4 * n_users)))


def rows_within(room: Room, most: int) -> int:
    """Return how many rows may be compared with each other at a time, at most `most`."""
    if room.memory_limit is None:
        return most
    return max(_LEAST_ROWS, min(most, (room.memory_limit - peak_rss_bytes()) // _PER_ROW))


def use_lean_allocator() -> None:
    """Let the process give memory back soon after it is done with it; for commands, not for libraries.

    Arrow allocates with jemalloc where it can. The C library, where it is GNU's, hands large arrays back to the system
    at once instead of keeping up to 32 MB each for later, and has one heap for all threads.
    """
    import pyarrow as pa

    if "jemalloc" in pa.supported_memory_backends() and "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
        pa.set_memory_pool(pa.jemalloc_memory_pool())
        pa.jemalloc_set_decay_ms(0)
    mallopt = _of_the_c_library("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_ARENA_MAX, 1)


def _of_the_c_library(name: str) -> Any:
    """Return a function of GNU's C library; None where there is none."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def free_bytes() -> int:
    """Return the memory that is free, or all there is where the system does not say."""
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
        ConfigError: If the text is no size, or below `LEAST`.
    """
    plain = text.strip().lower().removesuffix("b").removesuffix("i").strip()
    unit = plain[-1:] if plain[-1:].isalpha() else ""
    try:
        size = int(float(plain.removesuffix(unit)) * _UNITS[unit])
    except (ValueError, KeyError, OverflowError) as error:
        raise ConfigError(
            f"the memory limit is '{text}'", expected="a size such as 8GB or 500MB", fix="write a number and a unit"
        ) from error
    if size < LEAST:
        raise ConfigError(
            f"the memory limit is '{text}', less than the program itself takes",
            expected=f"at least {format_bytes(LEAST)}",
            fix="raise --memory-limit",
        )
    return size


def format_bytes(size: int) -> str:
    """Return a size as people read it."""
    return f"{size / (1 << 30):.1f} GB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MB"
