"""Histories of users: the latest items before a row, never the row itself or a later row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from scalr.evaluation.models.protocol import Examples
from scalr.foundation import Codes, Int64, rng


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """Items of users, ordered by time.

    A user's history consists of real rows, or of synthetic rows if the user has no real rows.

    Attributes:
        length: Number of latest items that a network reads.
        item: Shape (n,), codes of items, ordered by user and time.
        start: Shape (n_users,), position of each user's first item.
        end: Shape (n_users,), position after each user's last item.
        before: Shape (n_rows,), for each training row: position of the first item that is not strictly earlier.
    """

    length: int
    item: Codes
    start: Int64
    end: Int64
    before: Int64

    @classmethod
    def from_examples(cls, examples: Examples, length: int, seed: int) -> Self:
        """Order the rows. Without time, a hash of the row's number determines the order, which then has no meaning.

        Args:
            examples: The rows.
            length: Number of latest items that a network reads, at least 1.
            seed: Seed of the order without time.
        """
        n_users, numbers = len(examples.user_keys), np.arange(len(examples), dtype=np.uint64)
        if examples.time is None:
            moment = np.argsort(np.argsort(rng.keyed_units(seed, rng.Purpose.TRAIN_ORDER, numbers), kind="stable"))
        else:
            moment = np.unique(examples.time, return_inverse=True)[1]
        step = int(moment.max(initial=0)) + 1
        place = examples.user.astype(np.int64) * step + moment
        has_real = np.zeros(n_users, np.bool_)
        has_real[examples.user[~examples.is_synthetic]] = True
        told = np.flatnonzero(~examples.is_synthetic | ~has_real[examples.user])
        told = told[np.argsort(place[told], kind="stable")]
        edges = np.searchsorted(place[told], np.arange(n_users + 1, dtype=np.int64) * step)
        before = np.searchsorted(place[told], place, side="left")
        return cls(length, examples.item[told], edges[:-1], edges[1:], before)

    def ahead_of(self, number: Int64, user: Codes) -> npt.NDArray[np.int64]:
        """Return the history before each training row, shape (n, length); see `latest`."""
        return self._last(self.start[user], self.before[number])

    def latest(self, user: Codes | Int64) -> npt.NDArray[np.int64]:
        """Return each user's latest items: item codes plus 1, the oldest first, then zeros; shape (n, length)."""
        return self._last(self.start[user], self.end[user])

    def _last(self, start: Int64, end: Int64) -> npt.NDArray[np.int64]:
        first = np.maximum(start, end - self.length)
        place = first[:, None] + np.arange(self.length)
        inside = place < end[:, None]
        if not len(self.item):
            return np.zeros(place.shape, np.int64)
        return np.where(inside, self.item[np.minimum(place, len(self.item) - 1)].astype(np.int64) + 1, 0)
