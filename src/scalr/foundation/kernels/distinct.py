"""Dense codes for ids, in the order of first occurrence: an open-addressing hash table over 64-bit keys.

A slot holds the upper half of an id's key and its code + 1. A hit is verified by comparing the ids, so different ids
with equal keys get different codes. Nearly every probe is a cache miss; the loops prefetch a few rows ahead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation.arrays import Bytes, Int64, Keys
from scalr.foundation.kernels.hashing import U64
from scalr.foundation.kernels.machine import load_word, prefetch

_FAR, _MIDDLE, _NEAR = 24, 16, 8  # rows ahead that a slot, an id's offset and its bytes are prefetched
_LOW = U64(0xFFFFFFFF)


@njit(cache=True, nogil=True)
def fill_table(table: Keys, keys: Keys, n: int) -> None:
    """Insert codes 0 to n - 1 into an empty table, whose size is a power of two above n.

    Args:
        table: Slots, all zero; filled.
        keys: Shape (at least n,), keys by code.
        n: Number of codes.
    """
    mask = U64(table.shape[0] - 1)
    for code in range(n):
        p = keys[code] & mask
        while table[p] != 0:
            p = (p + U64(1)) & mask
        table[p] = (keys[code] & ~_LOW) | U64(code + 1)


@njit(inline="always")
def _same_bytes(data: Any, start: Any, other: Any, other_start: Any, length: Any) -> Any:
    """Return whether two ranges of bytes are equal."""
    y = 0
    while y + 8 <= length:
        if load_word(data, start + y) != load_word(other, other_start + y):
            return False
        y += 8
    while y < length:
        if data[start + y] != other[other_start + y]:
            return False
        y += 1
    return True


@njit(cache=True, nogil=True)
def encode_texts(
    data: Bytes, offsets: Int64, keys: Keys, table: Keys, known: Bytes, starts: Int64, known_keys: Keys, n: int,
    codes: npt.NDArray[np.int32],
) -> int:  # fmt: skip
    """Encode texts; texts without a code are added to the known texts.

    Args:
        data: Bytes of all texts.
        offsets: Shape (rows + 1,), offset of each text in `data`, and the end.
        keys: Shape (rows,), hashes of the texts; equal texts have equal keys.
        table: Slots, a power of two, at least n + rows of them free; changed.
        known: Bytes of the known texts, with space for all of `data`; changed.
        starts: Shape (at least n + rows + 1,), offset of each known text in `known`; changed.
        known_keys: Shape (at least n + rows,), keys by code; changed.
        n: Number of known texts.
        codes: Shape (rows,), filled with the code of each text.

    Returns:
        The number of known texts afterwards.
    """
    rows, mask = keys.shape[0], U64(table.shape[0] - 1)
    for x in range(rows):
        if x + _FAR < rows:
            prefetch(table, np.int64(keys[x + _FAR] & mask))
        if x + _MIDDLE < rows:
            slot = table[keys[x + _MIDDLE] & mask]
            prefetch(starts, np.int64(slot & _LOW) - 1 if slot != 0 else 0)
        if x + _NEAR < rows:
            slot = table[keys[x + _NEAR] & mask]
            prefetch(known, starts[np.int64(slot & _LOW) - 1] if slot != 0 else 0)
        key, start = keys[x], offsets[x]
        length = offsets[x + 1] - start
        p, code = key & mask, np.int64(-1)
        while table[p] != 0:
            slot = table[p]
            if (slot ^ key) >> U64(32) == 0:
                c = np.int64(slot & _LOW) - 1
                at = starts[c]
                if starts[c + 1] - at == length and _same_bytes(data, start, known, at, length):
                    code = c
                    break
            p = (p + U64(1)) & mask
        if code < 0:
            code, n = np.int64(n), n + 1
            table[p] = (key & ~_LOW) | U64(n)
            known_keys[code] = key
            at = starts[code]
            for y in range(length):
                known[at + y] = data[start + y]
            starts[n] = at + length
        codes[x] = code
    return n


@njit(cache=True, nogil=True)
def encode_integers(
    values: Int64, keys: Keys, table: Keys, known: Int64, known_keys: Keys, n: int, codes: npt.NDArray[np.int32]
) -> int:
    """Encode integers; see `encode_texts`. `known` has space for all of `values`."""
    rows, mask = keys.shape[0], U64(table.shape[0] - 1)
    for x in range(rows):
        if x + _FAR < rows:
            prefetch(table, np.int64(keys[x + _FAR] & mask))
        if x + _NEAR < rows:
            slot = table[keys[x + _NEAR] & mask]
            prefetch(known, np.int64(slot & _LOW) - 1 if slot != 0 else 0)
        key = keys[x]
        p, code = key & mask, np.int64(-1)
        while table[p] != 0:
            slot = table[p]
            if (slot ^ key) >> U64(32) == 0 and known[np.int64(slot & _LOW) - 1] == values[x]:
                code = np.int64(slot & _LOW) - 1
                break
            p = (p + U64(1)) & mask
        if code < 0:
            code, n = np.int64(n), n + 1
            table[p] = (key & ~_LOW) | U64(n)
            known[code], known_keys[code] = values[x], key
        codes[x] = code
    return n
