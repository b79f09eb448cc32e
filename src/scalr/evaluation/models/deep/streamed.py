"""Rows streamed from Parquet files that need not fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow.parquet as pq

from scalr.evaluation.models.deep.rows import WHOLE, Rows, Sampling, popularity_of
from scalr.foundation import Floats, SchemaError, rng

COLUMNS = ("user", "item", "weight", "is_synthetic")
WINDOW = 1 << 20  # rows that are shuffled among each other: 17 MB, and twice that while they are


@dataclass(frozen=True, slots=True)
class Group:
    """A row group of a file.

    Attributes:
        file: The file.
        place: Of the group within the file.
        first: Number of its first row.
        rows: How many it has.
    """

    file: Path
    place: int
    first: int
    rows: int


@dataclass(frozen=True, slots=True)
class StreamedRows:
    """Rows in Parquet files: codes `user` and `item`, `weight` (above 0) and `is_synthetic`.

    A pass visits the row groups in an order of its own and shuffles within a window of rows, so at most a window and a
    row group are in memory. Where one window holds all rows, passes are those of the same rows in memory.

    Attributes:
        groups: All row groups.
        sampling: Which rows a pass takes.
        window: Rows that are shuffled among each other, at least 1.
    """

    groups: tuple[Group, ...]
    sampling: Sampling
    window: int = WINDOW

    @classmethod
    def of(
        cls, files: Sequence[Path], seed: int, *, mixed: bool = False, first_number: int = 0, window: int = WINDOW
    ) -> Self:
        """Look at the files.

        Args:
            files: Parquet files, one after another.
            seed: That of the training.
            mixed: Whether a row stays in a pass with its weight as probability; for synthetic rows.
            first_number: Of the first row. Further rows need other numbers than the real ones: give their count.
            window: Rows that are shuffled among each other, at least 1.

        Raises:
            SchemaError: If a file lacks a column.
        """
        found: list[tuple[Path, int, int]] = []
        for file in files:
            metadata = pq.read_metadata(file)
            missing = [name for name in COLUMNS if name not in metadata.schema.to_arrow_schema().names]
            if missing:
                raise SchemaError(
                    f"{file} has no column '{missing[0]}'",
                    expected=f"columns {', '.join(COLUMNS)}: codes, weights and truth values",
                    fix="write the coded rows with these names",
                )
            found += [(file, place, metadata.row_group(place).num_rows) for place in range(metadata.num_row_groups)]
        starts = accumulate((rows for _, _, rows in found), initial=first_number)
        groups = tuple(
            Group(file, place, first, rows) for (file, place, rows), first in zip(found, starts, strict=False)
        )
        return cls(groups, Sampling(seed, mixed), window)

    def count(self, epoch: int) -> int:
        """Return how many rows pass `epoch` has; with `mixed`, or a part of the rows, it reads their weights."""
        if not self.sampling.mixed and self.sampling.within == WHOLE:
            return sum(group.rows for group in self.groups)
        return sum(len(self.sampling.kept(_read(group, ("weight",)), epoch)) for group in self.groups)

    def portions(self, epoch: int) -> Iterator[Rows]:
        """Return the rows of a pass, window by window."""
        firsts = np.array([group.first for group in self.groups], np.uint64)
        passes = np.full(len(firsts), epoch, np.uint64)
        order = np.argsort(rng.keyed_units(self.sampling.seed, rng.Purpose.TRAIN_ORDER, firsts, passes), kind="stable")
        waiting: list[Rows] = []
        for place in order:
            waiting.append(self.sampling.kept(_read(self.groups[place], COLUMNS), epoch))
            if sum(map(len, waiting)) >= self.window:
                yield self.sampling.shuffled(Rows.joined(waiting), epoch)
                waiting = []
        if waiting:
            yield self.sampling.shuffled(Rows.joined(waiting), epoch)

    def popularity(self, n_items: int) -> tuple[Floats, Floats]:
        """Return the weight of all real and of all synthetic rows by item, shape (n_items,) each."""
        real, synthetic = np.zeros(n_items), np.zeros(n_items)
        for group in self.groups:
            of_real, of_synthetic = popularity_of(self.sampling.allowed(_read(group, COLUMNS)), n_items)
            real += of_real
            synthetic += of_synthetic
        return real, synthetic

    def appearances(self, n_items: int) -> Floats:
        """Return how often a pass has each item in expectation, shape (n_items,)."""
        times = np.zeros(n_items)
        for group in self.groups:
            times += self.sampling.appearances(_read(group, ("item", "weight")), n_items)
        return times

    def part(self, low: float, high: float) -> Self:
        """Return those of its rows whose hash is from `low` to below `high`."""
        return replace(self, sampling=self.sampling.part(low, high))


def _read(group: Group, columns: tuple[str, ...]) -> Rows:
    """Read some columns of a row group; others are zeros."""
    with pq.ParquetFile(group.file) as file:
        table = file.read_row_group(group.place, columns=list(columns), use_threads=False)
    number = np.arange(group.first, group.first + group.rows, dtype=np.int64)
    kinds = (np.int32, np.int32, np.float32, np.bool_)
    values = [
        table[name].to_numpy().astype(kind, copy=False) if name in columns else np.zeros(group.rows, kind)
        for name, kind in zip(COLUMNS, kinds, strict=True)
    ]
    return Rows(number, *values)
