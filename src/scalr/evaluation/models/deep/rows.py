"""Training rows of a network by epoch: sampling of synthetic rows, order, batches and negatives.

Random choices about a row are hashes of seed, epoch and row number, so they depend on no other row and on no part size.
If one window holds all rows, rows in memory and rows streamed from files give the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from scalr.evaluation.models.protocol import Examples
from scalr.foundation import Codes, Floats, Int64, Singles, rng

WHOLE = (0.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRows:
    """Positive rows.

    Attributes:
        number: Shape (n,), key of the random choices about a row; distinct within a training.
        user: Shape (n,), codes.
        item: Shape (n,), codes.
        weight: Shape (n,), above 0.
        is_synthetic: Shape (n,).
    """

    number: Int64
    user: Codes
    item: Codes
    weight: Singles
    is_synthetic: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.number)

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice) -> Self:
        """Return some of the rows."""
        return type(self)(*(getattr(self, one.name)[rows] for one in fields(self)))

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Return the rows of all parts, one part after another."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))


class RowSource(Protocol):
    """Rows that can be read once per epoch, in memory or from files."""

    def count(self, epoch: int) -> int:
        """Return the number of rows of epoch `epoch`."""

    def portions(self, epoch: int) -> Iterator[TrainingRows]:
        """Yield the rows of epoch `epoch`, portion by portion, in the order in which the epoch visits them."""

    def popularity(self, n_items: int) -> tuple[Floats, Floats]:
        """Return the weight of all real and of all synthetic rows by item, shape (n_items,) each."""

    def appearances(self, n_items: int) -> Floats:
        """Return the expected number of times that an epoch includes each item, shape (n_items,)."""

    def part(self, low: float, high: float) -> Self:
        """Return the rows whose hash, in [0, 1), is in [low, high): the same rows in every epoch."""


@dataclass(frozen=True, slots=True)
class RowSampling:
    """Which rows an epoch includes.

    Attributes:
        seed: Any integer.
        mixed: Whether an epoch samples rows with their weight as probability, at most 1. A sampled row has weight 1,
            or its own weight if that is larger, so expected weights are unchanged, and the cost of an epoch is
            proportional to the sum of weights instead of the number of rows.
        within: Range [low, high) of the hashes, in [0, 1), of rows that epochs may include.
    """

    seed: int
    mixed: bool
    within: tuple[float, float] = WHOLE

    def part(self, low: float, high: float) -> Self:
        """Return this sampling, restricted to hashes in [low, high)."""
        return replace(self, within=(low, high))

    def allowed(self, rows: TrainingRows) -> TrainingRows:
        """Return the rows that any epoch may include."""
        if self.within == WHOLE:
            return rows
        chance = rng.keyed_units(self.seed, rng.Purpose.CALIBRATE, rows.number.astype(np.uint64))
        return rows.take((chance >= self.within[0]) & (chance < self.within[1]))

    def kept(self, rows: TrainingRows, epoch: int) -> TrainingRows:
        """Return the rows that epoch `epoch` includes."""
        rows = self.allowed(rows)
        if not self.mixed:
            return rows
        chance = _units(self.seed, rng.Purpose.MIX, rows.number, epoch)
        rows = rows.take(chance < rows.weight)
        return TrainingRows(
            rows.number, rows.user, rows.item, np.maximum(rows.weight, np.float32(1)), rows.is_synthetic
        )

    def appearances(self, rows: TrainingRows, n_items: int) -> Floats:
        """Return the expected number of times that an epoch includes each item, shape (n_items,)."""
        rows = self.allowed(rows)
        chance = np.minimum(rows.weight.astype(np.float64), 1.0) if self.mixed else None
        times: Floats = np.bincount(rows.item, chance, n_items).astype(np.float64)
        return times

    def shuffled(self, rows: TrainingRows, epoch: int) -> TrainingRows:
        """Return the rows in the order in which epoch `epoch` visits them."""
        return rows.take(np.argsort(_units(self.seed, rng.Purpose.TRAIN_ORDER, rows.number, epoch), kind="stable"))


@dataclass(frozen=True, slots=True, eq=False)
class MemoryRows:
    """Rows in memory."""

    rows: TrainingRows
    sampling: RowSampling

    def count(self, epoch: int) -> int:
        """Return the number of rows of epoch `epoch`."""
        return len(self.sampling.kept(self.rows, epoch))

    def portions(self, epoch: int) -> Iterator[TrainingRows]:
        """Yield the rows of an epoch, shuffled, in one portion."""
        yield self.sampling.shuffled(self.sampling.kept(self.rows, epoch), epoch)

    def popularity(self, n_items: int) -> tuple[Floats, Floats]:
        """Return the weight of all real and of all synthetic rows by item, shape (n_items,) each."""
        return popularity_of(self.sampling.allowed(self.rows), n_items)

    def appearances(self, n_items: int) -> Floats:
        """Return the expected number of times that an epoch includes each item, shape (n_items,)."""
        return self.sampling.appearances(self.rows, n_items)

    def part(self, low: float, high: float) -> Self:
        """Return the rows whose hash is in [low, high)."""
        return replace(self, sampling=self.sampling.part(low, high))


def popularity_of(rows: TrainingRows, n_items: int) -> tuple[Floats, Floats]:
    """Return the weight of real and of synthetic rows by item, shape (n_items,) each."""
    real, synthetic = ~rows.is_synthetic, rows.is_synthetic
    return (
        np.bincount(rows.item[real], rows.weight[real], n_items).astype(np.float64),
        np.bincount(rows.item[synthetic], rows.weight[synthetic], n_items).astype(np.float64),
    )


def rows_in_memory(examples: Examples, seed: int) -> tuple[MemoryRows, MemoryRows]:
    """Return the real rows of the fold, which every epoch visits, and the other rows, which are mixed in."""
    columns = (examples.user, examples.item, examples.weight, examples.is_synthetic)
    rows = TrainingRows(np.arange(len(examples), dtype=np.int64), *columns)
    first, further = rows.take(slice(None, examples.n_first)), rows.take(slice(examples.n_first, None))
    return MemoryRows(first, RowSampling(seed, mixed=False)), MemoryRows(further, RowSampling(seed, mixed=True))


def batches(sources: tuple[RowSource, ...], epoch: int, size: int) -> tuple[int, Iterator[TrainingRows]]:
    """Return the number of batches of an epoch, and the batches, each with its share of every source.

    Args:
        sources: Sources of rows, in the order within a batch. An empty source does not affect the others.
        epoch: Number of the epoch, from 0.
        size: Upper bound on the rows of a batch; batches of an epoch have about equal sizes.
    """
    counts = [source.count(epoch) for source in sources]
    n_batches = -(-sum(counts) // size)
    taken = [_cut(source.portions(epoch), _bounds(n, n_batches)) for source, n in zip(sources, counts, strict=True)]
    return n_batches, (TrainingRows.joined(list(shares)) for shares in zip(*taken, strict=True))


def _bounds(count: int, n_batches: int) -> list[int]:
    return [count * batch // n_batches for batch in range(1, n_batches + 1)]


def _cut(portions: Iterator[TrainingRows], bounds: list[int]) -> Iterator[TrainingRows]:
    """Return rows [bounds[x - 1], bounds[x]) of all portions together, for every x."""
    waiting, place = next(portions, None), 0
    assert waiting is not None or not bounds or bounds[-1] == 0
    for bound in bounds:
        parts: list[TrainingRows] = []
        while waiting is not None and place + len(waiting) < bound:
            place += len(waiting)
            parts.append(waiting)
            waiting = next(portions, None)
        if waiting is not None:
            parts.append(waiting.take(slice(0, bound - place)))
            waiting, place = waiting.take(slice(bound - place, None)), bound
        yield TrainingRows.joined(parts) if parts else _none()


def _none() -> TrainingRows:
    codes = np.empty(0, np.int32)
    return TrainingRows(np.empty(0, np.int64), codes, codes, np.empty(0, np.float32), np.empty(0, np.bool_))


@dataclass(frozen=True, slots=True, eq=False)
class UniformNegatives:
    """Uniform draws from a catalogue.

    Attributes:
        seed: Any integer.
        per_row: Draws per positive.
        real: Shape (n,), items from which negatives of real rows are drawn.
        synthetic: Like `real`, for synthetic rows.
    """

    seed: int
    per_row: int
    real: Codes
    synthetic: Codes

    def items(self, rows: TrainingRows, epoch: int) -> Codes:
        """Return each row's item, then its negatives, shape (n, 1 + per_row)."""
        slots = np.tile(np.arange(self.per_row, dtype=np.uint64), len(rows))
        numbers = np.repeat(rows.number, self.per_row)
        chance = _units(self.seed, rng.Purpose.TRAIN_NEGATIVES, numbers, epoch, slots).reshape(-1, self.per_row)
        items = np.empty((len(rows), 1 + self.per_row), np.int32)
        items[:, 0] = rows.item
        items[:, 1:] = self.real[(chance * len(self.real)).astype(np.int64)]
        if self.synthetic is not self.real:
            other = rows.is_synthetic
            items[other, 1:] = self.synthetic[(chance[other] * len(self.synthetic)).astype(np.int64)]
        return items


def _units(
    seed: int, purpose: rng.Purpose, number: Int64, epoch: int, *more: npt.NDArray[np.uint64]
) -> npt.NDArray[np.float64]:
    """Return a uniform number in [0, 1) per row number and epoch."""
    return rng.keyed_units(seed, purpose, number.astype(np.uint64), np.full(len(number), epoch, np.uint64), *more)
