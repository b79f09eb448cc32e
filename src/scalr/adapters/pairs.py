"""Distinct (user, item) pairs with one weight each, for libraries that train on matrices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from scalr.adapters.training_events import Batch, TrainingEvents
from scalr.foundation import Codes, Times, require_extra
from scalr.logs import TimeUnit

if TYPE_CHECKING:
    import scipy.sparse

_BUFFERED_ROWS = 1 << 22  # synthetic events buffered before they are added up


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Distinct pairs, by user and item code.

    Attributes:
        user: Shape (n,), codes.
        item: Shape (n,), codes.
        weight: Shape (n,), above 0: the largest weight of the pair's real events, as `scalr.train` has it, and the sum
            of the weights of its synthetic events.
        time: Shape (n,), of the latest event; None where the log has no time.
    """

    user: Codes
    item: Codes
    weight: npt.NDArray[np.float32]
    time: Times | None


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """A sparse matrix of weights, users × items, with the ids of its rows and columns.

    Attributes:
        values: Shape (n_users, n_items), float32, in the sparse format of the library.
        users: Shape (n_users,), ids by row.
        items: Shape (n_items,), ids by column.
    """

    values: Any
    users: pa.Array
    items: pa.Array


@dataclass(frozen=True, slots=True, eq=False)
class WeightedInteractions:
    """Arguments of `fit` of LightFM: 1 for every pair, and the weights in the same order.

    Attributes:
        interactions: Shape (n_users, n_items), COO, int32, all 1.
        weights: Shape (n_users, n_items), COO, float32; pass it as `sample_weight`.
        users: Shape (n_users,), ids by row.
        items: Shape (n_items,), ids by column.
    """

    interactions: scipy.sparse.coo_matrix
    weights: scipy.sparse.coo_matrix
    users: pa.Array
    items: pa.Array


def pairs_of(events: TrainingEvents) -> Pairs:
    """Add up events by pair; holds the pairs and a few million events in memory."""
    n_items = len(events.items)
    real = _added([_cells(batch, n_items) for batch in events.real_batches()], np.maximum)
    held = [_nothing(timed=events.target.time is not None)]
    waiting = 0
    for batch in events.synthetic_batches():
        held.append(_cells(batch, n_items))
        waiting += len(batch)
        if waiting > _BUFFERED_ROWS:
            held, waiting = [_added(held, np.add)], 0
    cell, weight, time = _added([real, _added(held, np.add)], np.add)
    user, item = np.divmod(cell, max(n_items, 1))
    return Pairs(user.astype(np.int32), item.astype(np.int32), weight.astype(np.float32), time)


def implicit_matrix(events: TrainingEvents) -> Matrix:
    """Return the user-item matrix of `implicit`: CSR, with the weights as confidence."""
    require_extra("scipy", "adapters")
    import scipy.sparse

    pairs = pairs_of(events)
    values = scipy.sparse.csr_matrix((pairs.weight, (pairs.user, pairs.item)), shape=_shape(events))
    return Matrix(values, events.users.ids, events.items.ids)


def lightfm_interactions(events: TrainingEvents) -> WeightedInteractions:
    """Return interactions and weights for LightFM."""
    require_extra("scipy", "adapters")
    import scipy.sparse

    pairs = pairs_of(events)
    places, ones = (pairs.user, pairs.item), np.ones(len(pairs.user), np.int32)
    return WeightedInteractions(
        scipy.sparse.coo_matrix((ones, places), shape=_shape(events)),
        scipy.sparse.coo_matrix((pairs.weight, places), shape=_shape(events)),
        events.users.ids,
        events.items.ids,
    )


def write_implicit(events: TrainingEvents, folder: Path) -> int:
    """Write `user_items.npz`, `users.parquet` and `items.parquet`; return the pairs."""
    found = implicit_matrix(events)
    import scipy.sparse

    scipy.sparse.save_npz(folder / "user_items.npz", found.values)
    write_ids(events, folder)
    return int(found.values.nnz)


def write_lightfm(events: TrainingEvents, folder: Path) -> int:
    """Write `interactions.npz`, `weights.npz`, `users.parquet` and `items.parquet`; return the pairs."""
    found = lightfm_interactions(events)
    import scipy.sparse

    scipy.sparse.save_npz(folder / "interactions.npz", found.interactions)
    scipy.sparse.save_npz(folder / "weights.npz", found.weights)
    write_ids(events, folder)
    return int(found.weights.nnz)


def write_ids(events: TrainingEvents, folder: Path) -> None:
    """Write the ids by code: `users.parquet` and `items.parquet`; row number = code."""
    for name, words in (("users", events.users), ("items", events.items)):
        pq.write_table(pa.table({"id": words.ids}), folder / f"{name}.parquet", compression="zstd")


def instants(time: Times, unit: TimeUnit | None) -> pa.Array:
    """Return times as timestamps in UTC without zone; a plain order is read as seconds since 1970."""
    microseconds = time * 1_000_000 if unit is not None and unit.kind == "order" else time
    return pa.array(microseconds, pa.timestamp("us"))


_Cells = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], "Times | None"]


def _cells(batch: Batch, n_items: int) -> _Cells:
    return batch.user.astype(np.int64) * n_items + batch.item, batch.weight.astype(np.float64), batch.time


def _nothing(*, timed: bool) -> _Cells:
    return np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64) if timed else None


def _added(parts: list[_Cells], join: np.ufunc) -> _Cells:
    """Return one row per cell: weights joined by `join`, the latest time."""
    if not parts:
        return _nothing(timed=False)
    cell, weight = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
    times = [part[2] for part in parts if part[2] is not None]
    if not len(cell):
        return cell, weight, times[0] if times else None
    order = np.argsort(cell, kind="stable")
    cell = cell[order]
    start = np.flatnonzero(np.concatenate([[True], cell[1:] != cell[:-1]]))
    latest = np.maximum.reduceat(np.concatenate(times)[order], start) if times else None
    return cell[start], join.reduceat(weight[order], start), latest


def _shape(events: TrainingEvents) -> tuple[int, int]:
    return len(events.users), len(events.items)
