"""Shared code of the sparse-matrix baselines: ids to codes, NumPy sampling from a matrix of counts, writing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.baselines import COLUMNS, GENERATION_ID, SOURCE_DOMAIN
from scipy import sparse

Int64 = npt.NDArray[np.int64]

CHUNK_DRAWS = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Logs:
    """Two logs as codes.

    Attributes:
        users: Ids of users.
        source_items: Ids of source items.
        target_items: Ids of target items.
        user: Shape (events,), codes of the source events.
        item: Shape (events,).
        time: Shape (events,).
        source: Shape (users, source items), 1 where a user has an item.
        target: Shape (users, target items), likewise.
    """

    users: pa.Array
    source_items: pa.Array
    target_items: pa.Array
    user: Int64
    item: Int64
    time: Int64
    source: sparse.csr_matrix
    target: sparse.csr_matrix


def generate(
    source: Path, target: Path, out: Path, draws: int, seed: int, count: Callable[[Logs], sparse.csr_matrix]
) -> None:
    """Write `draws` synthetic events for every source event whose item has a count.

    Args:
        source: Source log.
        target: Target log.
        out: File to write.
        draws: Draws per source event.
        seed: Of NumPy's generator.
        count: Returns the number of users behind each pair of items, shape (source items, target items).
    """
    logs = read(source, target)
    counts = count(logs)
    total = logs.source.T @ np.diff(logs.target.indptr)  # all paths, including those that `counts` may lack
    first = np.concatenate(([0], np.cumsum(counts.data, dtype=np.int64)))
    n_own = np.diff(logs.target.indptr)
    events = np.flatnonzero(total[logs.item] > n_own[logs.user])
    n_target = len(logs.target_items)
    of_user = np.repeat(np.arange(len(logs.users)), n_own)
    pairs = np.sort(of_user * n_target + logs.target.indices)
    generator = np.random.default_rng(seed)
    with pq.ParquetWriter(out, _schema(), compression="zstd", compression_level=1) as writer:
        for begin in range(0, len(events), CHUNK_DRAWS // draws):
            event = np.repeat(events[begin : begin + CHUNK_DRAWS // draws], draws)
            user, item = logs.user[event], logs.item[event]
            low, high = first[counts.indptr[item]], first[counts.indptr[item + 1]]
            point = low + (generator.random(len(event)) * (high - low)).astype(np.int64)
            place = np.searchsorted(first, point, side="right") - 1
            drawn = counts.indices[place].astype(np.int64)
            pair = user * n_target + drawn
            nearest = np.searchsorted(pairs, pair)
            is_own = pairs[np.minimum(nearest, len(pairs) - 1)] == pair
            support = counts.data[place] - is_own
            n = len(event)
            columns: dict[str, Any] = {
                "user_id": _named(user, logs.users),
                "item_id": _named(drawn, logs.target_items),
                "timestamp": logs.time[event],
                "is_synthetic": np.ones(n, np.bool_),
                "weight": np.ones(n, np.float32),
                "confidence": (support / (total[item] - n_own[user])).astype(np.float32),
                "support": support.astype(np.int32),
                "source_domain": _named(np.zeros(n, np.int64), pa.array([SOURCE_DOMAIN])),
                "source_item": _named(item, logs.source_items),
                "source_event": event,
                "draw": np.tile(np.arange(draws, dtype=np.int32), n // draws),
                "generation_id": _named(np.zeros(n, np.int64), pa.array([GENERATION_ID])),
            }
            writer.write_table(pa.table([columns[name] for name in COLUMNS], schema=_schema()))


def read(source: Path, target: Path) -> Logs:
    """Read two logs as codes."""
    tables = [pq.read_table(file) for file in (source, target)]
    both = pa.chunked_array([chunk for table in tables for chunk in table["user_id"].chunks]).dictionary_encode()
    encoded = both.combine_chunks()
    user = np.asarray(encoded.indices).astype(np.int64)
    n = len(tables[0])
    items = [table["item_id"].dictionary_encode().combine_chunks() for table in tables]
    codes = [np.asarray(column.indices).astype(np.int64) for column in items]
    return Logs(
        users=encoded.dictionary,
        source_items=items[0].dictionary,
        target_items=items[1].dictionary,
        user=user[:n],
        item=codes[0],
        time=tables[0]["timestamp"].to_numpy(),
        source=_incidence(user[:n], codes[0], (len(encoded.dictionary), len(items[0].dictionary))),
        target=_incidence(user[n:], codes[1], (len(encoded.dictionary), len(items[1].dictionary))),
    )


def _incidence(row: Int64, column: Int64, shape: tuple[int, int]) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix((np.ones(len(row), np.int32), (row, column)), shape=shape)
    matrix.data[:] = 1  # repeated interactions were summed
    return matrix


def _named(codes: Int64, ids: pa.Array) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), ids)


def _schema() -> pa.Schema:
    text = pa.dictionary(pa.int32(), pa.string())
    kinds = {
        **dict.fromkeys(COLUMNS, text),
        "timestamp": pa.int64(),
        "is_synthetic": pa.bool_(),
        "weight": pa.float32(),
        "confidence": pa.float32(),
        "support": pa.int32(),
        "source_event": pa.int64(),
        "draw": pa.int32(),
    }
    return pa.schema(kinds)
