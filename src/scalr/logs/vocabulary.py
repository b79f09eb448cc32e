"""Codes for ids: distinct ids as they are read, then a canonical order that depends on the ids alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scalr.foundation import Codes, Keys, combine_keys
from scalr.foundation import distinct as factorise
from scalr.logs.event_log import Vocabulary
from scalr.logs.tables.digests import text_layout, typed_keys

_MAX_STRING_BYTES = 2**31 - 1  # offsets of Arrow's string type are int32
_SLOTS_PER_ID = 1.5  # at least; a third of the hash table is free, so probes stay short
_SLICE = 1 << 16  # ids added at a time; space is reserved as if all of them were new
_FIRST_CAPACITY = 1 << 12

HashIds = Callable[[pa.Array], Keys]


class IdCoder:
    """Assigns codes to the ids of a column in the order of first occurrence, batch by batch.

    Every distinct id is stored once; memory grows in place.

    Args:
        is_text: Whether ids are large_string; otherwise int64.
        hash_ids: Returns the keys of ids. Different ids may have equal keys.
    """

    def __init__(self, *, is_text: bool, hash_ids: HashIds = typed_keys) -> None:
        self._is_text = is_text
        self._hash_ids = hash_ids
        self._n = 0
        self._table = np.zeros(2 * _FIRST_CAPACITY, np.uint64)
        self._keys = np.empty(_FIRST_CAPACITY, np.uint64)
        self._integers = np.empty(0 if is_text else _FIRST_CAPACITY, np.int64)
        self._starts = np.zeros(_FIRST_CAPACITY + 1 if is_text else 1, np.int64)
        self._bytes = np.empty(_FIRST_CAPACITY if is_text else 0, np.uint8)

    def __len__(self) -> int:
        return self._n

    def add(self, ids: pa.Array) -> Codes:
        """Return the codes of ids without nulls, shape (n,); new ids get new codes."""
        codes = np.empty(len(ids), np.int32)
        keys = self._hash_ids(ids)
        self._reserve(len(ids))
        if not self._is_text:
            values = ids.to_numpy(zero_copy_only=False)
            self._n = factorise.encode_integers(values, keys, self._table, self._integers, self._keys, self._n, codes)
            return codes
        data, offsets = text_layout(ids)
        needed = int(self._starts[self._n] + offsets[-1] - offsets[0])
        self._bytes = _grown(self._bytes, needed)
        self._n = factorise.encode_texts(
            data, offsets, keys, self._table, self._bytes, self._starts, self._keys, self._n, codes
        )
        return codes

    def keys(self) -> Keys:
        """Return the keys of the distinct ids, by code."""
        return self._keys[: self._n]

    def keys_of(self, codes: Codes) -> Keys:
        """Return the keys of ids by their codes, shape (n,)."""
        keys: Keys = self._keys[codes]
        return keys

    def distinct(self) -> pa.Array:
        """Return the distinct ids, int64 or large_string, by code; no ids can be added afterwards."""
        if not self._is_text:
            return pa.array(self._integers[: self._n])
        starts, text = self._starts[: self._n + 1], self._bytes[: int(self._starts[self._n])]
        return pa.LargeStringArray.from_buffers(self._n, pa.py_buffer(starts), pa.py_buffer(text))

    def _reserve(self, rows: int) -> None:
        """Reserve space for `rows` new ids."""
        capacity = self._n + rows
        self._keys = _grown(self._keys, capacity)
        if self._is_text:
            self._starts = _grown(self._starts, capacity + 1)
        else:
            self._integers = _grown(self._integers, capacity)
        if _SLOTS_PER_ID * capacity > len(self._table):
            self._table = np.zeros(1 << (int(_SLOTS_PER_ID * capacity)).bit_length(), np.uint64)
            factorise.fill_table(self._table, self._keys, self._n)


def _grown(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Return the array, enlarged to at least `size` elements if it is shorter; large arrays are not copied."""
    if size > len(array):
        array.resize(max(size, len(array) + len(array) // 2), refcheck=False)
    return array


@dataclass(frozen=True, slots=True, eq=False)
class IdColumn:
    """The ids of a log, each distinct id once.

    Attributes:
        distinct: Shape (m,), int64 or large_string, in any order.
        place: Shape (n,), position of each event's id in `distinct`.
    """

    distinct: pa.Array
    place: npt.NDArray[np.int32]

    @classmethod
    def from_values(cls, values: pa.ChunkedArray) -> IdColumn:
        """Find the distinct ids of a column, int64 or large_string, without nulls."""
        coder = IdCoder(is_text=pa.types.is_large_string(values.type))
        parts = [coder.add(chunk) for chunk in values.chunks]
        return cls(coder.distinct(), np.concatenate(parts) if parts else np.zeros(0, np.int32))


def unify(
    columns: Sequence[pa.Array], domains: Sequence[str] = (), hash_ids: HashIds = typed_keys
) -> tuple[Vocabulary, list[Codes]]:
    """Build a vocabulary of the distinct ids of all columns.

    Different ids never share a code, even if their 64-bit keys are equal: ids are sorted by (key, id, domain), and
    equality is decided by the ids, not the keys.

    Args:
        columns: Distinct ids of one or more logs. Without `domains` all are integers or all are text.
        domains: A name per column if equal ids of two columns are different things (items of several source domains);
            ids then become text if the columns differ in type. Empty if equal ids are the same thing (users).
        hash_ids: Returns the keys of ids.

    Returns:
        The vocabulary, and the codes of the ids of each column.
    """
    if domains:
        keys = np.concatenate(
            [_in_domain(hash_ids(column), name) for column, name in zip(columns, domains, strict=True)]
        )
        is_mixed = len({column.type for column in columns}) > 1
        ids = pa.concat_arrays([as_texts(column) if is_mixed else column for column in columns])
        domain = np.repeat(np.arange(len(columns), dtype=np.int16), [len(column) for column in columns])
        merged = np.arange(len(ids), dtype=np.int32)
    else:
        coder = IdCoder(is_text=not pa.types.is_integer(columns[0].type), hash_ids=hash_ids)
        merged = np.concatenate(
            [coder.add(column.slice(first, _SLICE)) for column in columns for first in range(0, len(column), _SLICE)]
            or [np.zeros(0, np.int32)]
        )
        ids, keys = coder.distinct(), coder.keys()
        del coder  # releases the hash table before ids are sorted
        domain = np.zeros(len(ids), np.int16)

    order = _canonical_order(keys, ids, domain)
    code = np.empty(len(order), np.int32)
    code[order] = np.arange(len(order), dtype=np.int32)
    ends = np.cumsum([len(column) for column in columns])
    parts = np.split(code[merged], ends[:-1])
    vocabulary = Vocabulary(_plain(ids.take(pa.array(order))), keys[order], domain[order], tuple(domains) or ("",))
    return vocabulary, parts


def as_texts(ids: pa.Array) -> pa.Array:
    """Return the same ids as text."""
    return ids.cast(pa.large_string())


def example_id(ids: pa.Array) -> str:
    """Return the smallest id, as errors show it; it does not depend on the order of the rows."""
    return repr(pc.min(ids).as_py())


def domain_key(name: str) -> np.uint64:
    """Return the hash of a source domain's name, which the keys of its items are combined with."""
    return np.uint64(typed_keys(pa.array([name]))[0])


def _in_domain(keys: Keys, name: str) -> Keys:
    return combine_keys(keys, np.full(len(keys), domain_key(name)))


def _canonical_order(keys: Keys, ids: pa.Array, domain: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
    order = np.argsort(keys, kind="stable")
    if not np.any(keys[order[1:]] == keys[order[:-1]]):
        return order
    rank = np.empty(len(ids), np.int64)
    rank[pc.sort_indices(ids).to_numpy()] = np.arange(len(ids))
    if domain.any():  # equal ids of two domains need the same rank, so that the domain decides
        rank = rank[pc.index_in(ids, ids).to_numpy()]
    return np.lexsort((domain, rank, keys))


def _plain(ids: pa.Array) -> pa.Array:
    return ids.cast(pa.string()) if pa.types.is_large_string(ids.type) and ids.nbytes < _MAX_STRING_BYTES else ids
