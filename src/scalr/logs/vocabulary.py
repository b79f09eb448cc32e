"""From ids to codes: distinct ids as they come, then an order that depends on nothing but the ids."""

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

_LARGEST_STRING_ARRAY = 2**31 - 1  # bytes; Arrow's string type counts them in int32
_LOAD = 1.5  # slots per id, at least: a third of a table is free, so searches stay short
_SLICE = 1 << 16  # ids added at a time: room is made for all of them, were they new
_FIRST_ROOM = 1 << 12

HashIds = Callable[[pa.Array], Keys]


class IdCoder:
    """Give the ids of a column codes in the order in which they first occur, batch by batch.

    Holds every distinct id once; memory grows in place.

    Args:
        is_text: The ids are large_string; else int64.
        hash_ids: Gives ids their keys. Ids with equal keys are told apart all the same.
    """

    def __init__(self, *, is_text: bool, hash_ids: HashIds = typed_keys) -> None:
        self._is_text = is_text
        self._hash_ids = hash_ids
        self._n = 0
        self._table = np.zeros(2 * _FIRST_ROOM, np.uint64)
        self._keys = np.empty(_FIRST_ROOM, np.uint64)
        self._integers = np.empty(0 if is_text else _FIRST_ROOM, np.int64)
        self._starts = np.zeros(_FIRST_ROOM + 1 if is_text else 1, np.int64)
        self._bytes = np.empty(_FIRST_ROOM if is_text else 0, np.uint8)

    def __len__(self) -> int:
        return self._n

    def add(self, ids: pa.Array) -> Codes:
        """Return the codes of ids without nulls, shape (n,); ids not seen before get new ones."""
        codes = np.empty(len(ids), np.int32)
        keys = self._hash_ids(ids)
        self._make_room(len(ids))
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
        """Return the distinct ids, int64 or large_string, by code; the coder takes no more afterwards."""
        if not self._is_text:
            return pa.array(self._integers[: self._n])
        starts, text = self._starts[: self._n + 1], self._bytes[: int(self._starts[self._n])]
        return pa.LargeStringArray.from_buffers(self._n, pa.py_buffer(starts), pa.py_buffer(text))

    def _make_room(self, rows: int) -> None:
        """Make sure that `rows` new ids would fit."""
        most = self._n + rows
        self._keys = _grown(self._keys, most)
        if self._is_text:
            self._starts = _grown(self._starts, most + 1)
        else:
            self._integers = _grown(self._integers, most)
        if _LOAD * most > len(self._table):
            self._table = np.zeros(1 << (int(_LOAD * most)).bit_length(), np.uint64)
            factorise.fill_table(self._table, self._keys, self._n)


def _grown(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Return the array with room for `size` elements; the system moves its pages rather than copies them."""
    if size > len(array):
        array.resize(max(size, len(array) + len(array) // 2), refcheck=False)
    return array


@dataclass(frozen=True, slots=True, eq=False)
class IdColumn:
    """The ids of one log, each distinct id once.

    Attributes:
        distinct: Shape (m,), int64 or large_string, in any order.
        place: Shape (n,), for each event the place of its id in `distinct`.
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
    """Build the vocabulary of all columns' distinct ids, and the code of each of them.

    Two different ids never share a code, even if their 64-bit keys are equal: ids stand in the order of
    (key, id, domain), and equal ids are found by comparing ids, not keys.

    Args:
        columns: Distinct ids of one or more logs. Without `domains` all must be integers or all text.
        domains: One name per column where equal ids of two columns are different things (items of several source
            domains); ids then become text if the columns differ in type. Empty where equal ids are the same (users).
        hash_ids: Gives ids their keys.

    Returns:
        The vocabulary, and per column the codes of its ids.
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
        del coder  # its table is not needed beside the ids in their order
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
    """Return what the keys of a source domain's items are combined with."""
    return np.uint64(typed_keys(pa.array([name]))[0])


def _in_domain(keys: Keys, name: str) -> Keys:
    return combine_keys(keys, np.full(len(keys), domain_key(name)))


def _canonical_order(keys: Keys, ids: pa.Array, domain: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
    order = np.argsort(keys, kind="stable")
    if not np.any(keys[order[1:]] == keys[order[:-1]]):
        return order
    rank = np.empty(len(ids), np.int64)
    rank[pc.sort_indices(ids).to_numpy()] = np.arange(len(ids))
    if domain.any():  # equal ids of two domains need one rank, so that the domain decides
        rank = rank[pc.index_in(ids, ids).to_numpy()]
    return np.lexsort((domain, rank, keys))


def _plain(ids: pa.Array) -> pa.Array:
    return ids.cast(pa.string()) if pa.types.is_large_string(ids.type) and ids.nbytes < _LARGEST_STRING_ARRAY else ids
