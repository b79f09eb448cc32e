"""What a user did before a row: the latest items, never the row itself or a later one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from scalr.evaluation.models.protocol import Examples
from scalr.foundation import Codes, Int64, rng


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """Items of users in the order of time.

    A user's history is made of real rows; where a user has none, of synthetic ones.

    Attributes:
        length: Items that are looked at, the latest ones.
        item: Shape (n,), codes of items, by user and time.
        start: Shape (n_users,), where each user's items begin.
        end: Shape (n_users,), where they end.
        before: Shape (n_rows,), for each row to learn from: where the items begin that are not strictly earlier.
    """

    length: int
    item: Codes
    start: Int64
    end: Int64
    before: Int64

    @classmethod
    def from_examples(cls, examples: Examples, length: int, seed: int) -> Self:
        """Put the rows in order. Without time the order is a hash of the row's number, so it says nothing.

        Args:
            examples: The rows.
            length: Items to look at, at least 1.
            seed: Of the order without time.
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
        """Return the history of each row to learn from, shape (n, length); see `latest`."""
        return self._last(self.start[user], self.before[number])

    def latest(self, user: Codes | Int64) -> npt.NDArray[np.int64]:
        """Return all there is: item codes plus 1, the oldest first, then zeros; shape (n, length)."""
        return self._last(self.start[user], self.end[user])

    def _last(self, start: Int64, end: Int64) -> npt.NDArray[np.int64]:
        first = np.maximum(start, end - self.length)
        place = first[:, None] + np.arange(self.length)
        inside = place < end[:, None]
        if not len(self.item):
            return np.zeros(place.shape, np.int64)
        return np.where(inside, self.item[np.minimum(place, len(self.item) - 1)].astype(np.int64) + 1, 0)
