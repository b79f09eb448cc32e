"""Hashes and counter-based random numbers: a number is a hash of seed, purpose, key and counter.

Random numbers therefore do not depend on the order of the rows or on threads.

The mixer is the finaliser of SplitMix64 (Steele, Lea, Flood 2014, Fast Splittable Pseudorandom Number Generators).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from scalr.foundation.arrays import Bytes, Floats, Int64, Keys, UInt64
from scalr.foundation.kernels.machine import load_word

U64 = np.uint64
GOLDEN = U64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, the increment of SplitMix64
_INTEGER_TAG = U64(0xA0761D6478BD642F)  # the two tags separate the keys of integers from those of other strings
_STRING_TAG = U64(0xE7037ED1A0B428DB)
_MAX_DIGITS = 19  # of a 64-bit integer
_INT64_MAX = U64(0x7FFFFFFFFFFFFFFF)
_TO_UNIT = 1.0 / 9007199254740992.0  # 2**-53


@njit(inline="always")
def mix(z: Any) -> Any:
    """Scramble 64 bits; a bijection."""
    z = (z ^ (z >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> U64(27))) * U64(0x94D049BB133111EB)
    return z ^ (z >> U64(31))


@njit(inline="always")
def combine(key: Any, other: Any) -> Any:
    """Hash two 64-bit values into one; the order of the two matters."""
    return mix((key + GOLDEN) ^ mix(other + _INTEGER_TAG))


@njit(inline="always")
def unit(key: Any, counter: Any) -> Any:
    """Return the uniform number in [0, 1) with this key and counter."""
    return np.float64(np.int64(mix(key + (U64(counter) + U64(1)) * GOLDEN) >> U64(11))) * _TO_UNIT


@njit(inline="always")
def _integer_key(value: Any) -> Any:
    return mix(value + _INTEGER_TAG)


@njit(cache=True, nogil=True)
def integer_keys(values: Int64) -> Keys:
    """Hash integers to 64-bit keys; different integers have different keys."""
    keys = np.empty(values.shape[0], np.uint64)
    for x in range(values.shape[0]):
        keys[x] = _integer_key(U64(values[x]))
    return keys


@njit(cache=True, nogil=True)
def _as_integer(data: Bytes, start: int, end: int) -> tuple[bool, np.uint64]:
    """Return whether bytes [start, end) are the plain text of a 64-bit integer, and its value.

    Leading zeros, "-0" and "+" are not plain text.
    """
    negative = end > start and data[start] == 45  # "-"
    first = start + 1 if negative else start
    digits = end - first
    value = U64(0)
    if digits < 1 or digits > _MAX_DIGITS or (data[first] == 48 and (digits > 1 or negative)):
        return False, value
    for y in range(first, end):
        if data[y] < 48 or data[y] > 57:
            return False, value
        value = value * U64(10) + U64(data[y] - 48)
    if value > (_INT64_MAX + U64(1) if negative else _INT64_MAX):
        return False, value
    return True, (~value + U64(1) if negative else value)


@njit(cache=True, nogil=True)
def string_keys(data: Bytes, offsets: Int64) -> Keys:
    """Hash UTF-8 strings to 64-bit keys.

    The text of an integer has the key of the integer, since some file formats do not distinguish the two.

    Args:
        data: Bytes of all strings, one after another.
        offsets: Shape (n + 1,), offset of each string, and the end.

    Returns:
        Shape (n,).
    """
    n = offsets.shape[0] - 1
    keys = np.empty(n, np.uint64)
    for x in range(n):
        start, end = offsets[x], offsets[x + 1]
        is_integer, value = _as_integer(data, start, end)
        if is_integer:
            keys[x] = _integer_key(value)
            continue
        key = _STRING_TAG ^ U64(end - start)
        y = start
        while y + 8 <= end:
            key = mix(key ^ load_word(data, y)) + GOLDEN
            y += 8
        word, shift = U64(0), U64(0)
        while y < end:
            word |= U64(data[y]) << shift
            shift += U64(8)
            y += 1
        keys[x] = mix(key ^ word)
    return keys


@njit(cache=True, nogil=True)
def combine_keys(keys: Keys, others: Keys) -> Keys:
    """Hash two arrays of 64-bit values, shape (n,) each, pair by pair."""
    out = np.empty(keys.shape[0], np.uint64)
    for x in range(keys.shape[0]):
        out[x] = combine(keys[x], others[x])
    return out


@njit(cache=True, nogil=True)
def units(keys: Keys, counter: int) -> Floats:
    """Return one uniform number in [0, 1) per key."""
    out = np.empty(keys.shape[0], np.float64)
    for x in range(keys.shape[0]):
        out[x] = unit(keys[x], counter)
    return out


@njit(nogil=True)
def fill_units(
    keys: Keys,
    stream: Any,
    step: int,
    offset: int,
    mixed: UInt64,
    out: Floats,
) -> None:
    """Fill out[d, x] with the uniform number of key mix(keys[x] ^ stream) and counter d * step + offset.

    A row per counter lets the compiler vectorise the loop over keys.

    Args:
        keys: Shape (n,).
        stream: Key of seed and purpose.
        step: Distance between counters.
        offset: First counter.
        mixed: Shape (at least n,), overwritten.
        out: Shape (n_counters, at least n), filled.
    """
    for x in range(keys.shape[0]):
        mixed[x] = mix(keys[x] ^ stream)
    for d in range(out.shape[0]):
        row, counter = out[d], U64(d * step + offset)
        for x in range(keys.shape[0]):
            row[x] = unit(mixed[x], counter)
