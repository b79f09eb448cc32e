"""A PyTorch data set that streams training events from the part files, distributed over workers.

This module imports torch; `scalr.adapters.to_torch` loads it on use.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import IterableDataset, get_worker_info

from scalr.adapters.training_events import Batch, TrainingEvents
from scalr.foundation import rng

_POOL_ROWS = 1 << 18  # events mixed before they are cut into batches: four reads, or all events of a small run

Arrays = dict[str, npt.NDArray[Any]]


class EventBatches(IterableDataset[dict[str, torch.Tensor]]):
    """Batches of positive events as tensors, real and synthetic ones mixed in an order that depends on seed and epoch.

    A batch has `user` and `item` (int64 codes), `weight` (float32), `is_synthetic` (bool) and, where the log has times,
    `time` (int64), each of shape (batch_size,); the last batch of an epoch, or of a worker, is shorter. Give it to a
    `DataLoader` with `batch_size=None`: each worker reads a share of the row groups, with a share of the real
    events spread among them, and together they yield every event once per epoch. A worker holds the ids, the
    target log and about a quarter of a million events. The training loop draws negatives, for real and
    synthetic rows alike.

    Args:
        events: What to train on.
        batch_size: Events per batch, at least 1.
        shuffle: Mix events; otherwise real events come first, in the order of users and items.

    Attributes:
        n_users: Number of user codes.
        n_items: Number of item codes.
    """

    def __init__(self, events: TrainingEvents, batch_size: int = 4096, *, shuffle: bool = True) -> None:
        super().__init__()
        self.events, self.batch_size, self.shuffle = events, batch_size, shuffle
        self.n_users, self.n_items = len(events.users), len(events.items)
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the order; call it before each epoch, before the workers start."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        """Yield the batches of this worker in one epoch."""
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        pool: list[Arrays] = []
        for batch in self._mixed(worker, workers) if self.shuffle else self._in_order(worker, workers):
            pool.append(self._arrays(batch))
            if sum(len(one["user"]) for one in pool) >= _POOL_ROWS:
                whole = self._joined(pool)
                rows = len(whole["user"]) // self.batch_size * self.batch_size
                yield from self._cut(whole, rows)
                pool = [{name: values[rows:] for name, values in whole.items()}]
        if pool:
            whole = self._joined(pool)
            yield from self._cut(whole, len(whole["user"]))

    def _in_order(self, worker: int, workers: int) -> Iterator[Batch]:
        yield from (batch for number, batch in enumerate(self.events.real_batches()) if number % workers == worker)
        yield from self.events.synthetic_batches(self.events.row_groups[worker::workers])

    def _mixed(self, worker: int, workers: int) -> Iterator[Batch]:
        """Yield row groups in random order, and with each read a random share of the real events."""
        groups, real = self.events.row_groups, self.events.real_events()
        reads = np.cumsum([0, *(group.reads for group in groups)])
        place = (self._chance(real.key) * max(int(reads[-1]), workers)).astype(np.int64)
        by_place = np.argsort(place, kind="stable")
        starts = np.searchsorted(place[by_place], np.arange(max(int(reads[-1]), workers) + 1))
        order = np.argsort(self._chance(np.arange(len(groups), dtype=np.uint64)), kind="stable")
        for number in order[worker::workers]:
            for read, batch in enumerate(self.events.synthetic_batches([groups[number]]), int(reads[number])):
                yield real.take(by_place[starts[read] : starts[read + 1]])
                yield batch
        for read in range(int(reads[-1]), len(starts) - 1):  # fewer reads than workers
            if read % workers == worker:
                yield real.take(by_place[starts[read] : starts[read + 1]])

    def _arrays(self, batch: Batch) -> Arrays:
        arrays: Arrays = {
            "user": batch.user.astype(np.int64),
            "item": batch.item.astype(np.int64),
            "weight": batch.weight,
            "is_synthetic": np.full(len(batch), batch.is_synthetic),
            "order": self._chance(batch.key),
        }
        return arrays if batch.time is None else arrays | {"time": batch.time}

    def _joined(self, pool: list[Arrays]) -> Arrays:
        whole = {name: np.concatenate([one[name] for one in pool]) for name in pool[0]}
        if not self.shuffle:
            return whole
        order = np.argsort(whole["order"], kind="stable")
        return {name: values[order] for name, values in whole.items()}

    def _cut(self, whole: Arrays, rows: int) -> Iterator[dict[str, torch.Tensor]]:
        for first in range(0, rows, self.batch_size):
            chosen = slice(first, min(first + self.batch_size, rows))
            yield {
                name: torch.from_numpy(np.ascontiguousarray(values[chosen]))
                for name, values in whole.items()
                if name != "order"
            }

    def _chance(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
        epoch = np.full(len(keys), self._epoch, np.uint64)
        return rng.keyed_units(self.events.seed, rng.Purpose.TRAIN_ORDER, keys, epoch)
