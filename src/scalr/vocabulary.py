"""From ids to codes: distinct ids in an order that depends on nothing but the ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scalr.domain import Codes, Keys, Vocabulary
from scalr.engines.hashes import typed_keys
from scalr.kernels.hashing import combine_keys

_LARGEST_STRING_ARRAY = 2**31 - 1  # bytes; Arrow's string type counts them in int32


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
    def of(cls, values: pa.ChunkedArray) -> IdColumn:
        """Find the distinct ids of a column, int64 or large_string, without nulls."""
        encoded = values.dictionary_encode().combine_chunks()
        if isinstance(encoded, pa.ChunkedArray):  # what an empty column becomes
            return cls(pa.array([], values.type), np.zeros(0, np.int32))
        return cls(encoded.dictionary, encoded.indices.to_numpy())

    def with_texts(self) -> IdColumn:
        """Return the same ids as text."""
        return IdColumn(self.distinct.cast(pa.large_string()), self.place)


def encode(
    columns: Sequence[IdColumn],
    domains: Sequence[str] = (),
    hash_ids: Callable[[pa.Array], Keys] = typed_keys,
) -> tuple[Vocabulary, list[Codes]]:
    """Build the vocabulary of all columns' ids, and each column's codes.

    Two different ids never share a code, even if their 64-bit keys are equal: ids stand in the order of
    (key, id, domain), and equal ids are found by comparing ids, not keys.

    Args:
        columns: Ids of one or more logs. Without `domains` all must be integers or all text.
        domains: One name per column where equal ids of two columns are different things (items of several source
            domains); ids then become text if the columns differ in type. Empty where equal ids are the same (users).
        hash_ids: Gives ids their keys.

    Returns:
        The vocabulary, and codes of shape (n,) per column.
    """
    if domains:
        keys = np.concatenate(
            [_in_domain(hash_ids(column.distinct), name) for column, name in zip(columns, domains, strict=True)]
        )
        is_mixed = len({column.distinct.type for column in columns}) > 1
        ids = pa.concat_arrays([(column.with_texts() if is_mixed else column).distinct for column in columns])
        domain = np.repeat(np.arange(len(columns), dtype=np.int16), [len(column.distinct) for column in columns])
        merged = np.arange(len(ids), dtype=np.int32)
    else:
        union = pa.concat_arrays([column.distinct for column in columns]).dictionary_encode()
        ids, merged = union.dictionary, union.indices.to_numpy()
        keys = hash_ids(ids)
        domain = np.zeros(len(ids), np.int16)

    order = _canonical_order(keys, ids, domain)
    code = np.empty(len(order), np.int32)
    code[order] = np.arange(len(order), dtype=np.int32)
    ends = np.cumsum([len(column.distinct) for column in columns])
    parts = np.split(code[merged], ends[:-1])
    vocabulary = Vocabulary(_plain(ids.take(pa.array(order))), keys[order], domain[order], tuple(domains) or ("",))
    return vocabulary, [part[column.place] for part, column in zip(parts, columns, strict=True)]


def _in_domain(keys: Keys, name: str) -> Keys:
    return combine_keys(keys, np.full(len(keys), typed_keys(pa.array([name]))[0]))


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
