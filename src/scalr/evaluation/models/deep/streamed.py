"""Training rows streamed from Parquet files, for logs that do not fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow.parquet as pq

from scalr.evaluation.models.deep.rows import WHOLE, RowSampling, TrainingRows, popularity_of
from scalr.foundation import Floats, SchemaError, rng

COLUMNS = ("user", "item", "weight", "is_synthetic")
WINDOW = 1 << 20  # rows shuffled together: 17 MB, and twice that during the shuffle


@dataclass(frozen=True, slots=True)
class Group:
    """A row group of a file.

    Attributes:
        file: The file.
        place: Index of the group within the file.
        first: Number of its first row.
        rows: Number of rows.
    """

    file: Path
    place: int
    first: int
    rows: int


@dataclass(frozen=True, slots=True)
class StreamedRows:
    """Rows in Parquet files: codes `user` and `item`, `weight` (above 0) and `is_synthetic`.

    This is the source for `scalr.fit_rows` where training rows do not fit in memory. The package itself trains on rows
    in memory (`scalr.train`); callers of `fit_rows` write the coded rows and pass sources of this class.

    Every epoch visits the row groups in another order and shuffles within a window of rows, so at most one window and
    one row group are in memory. If one window holds all rows, epochs equal those of `MemoryRows`.

    Attributes:
        groups: All row groups.
        sampling: Which rows an epoch includes.
        window: Rows that are shuffled together, at least 1.
    """

    groups: tuple[Group, ...]
    sampling: RowSampling
    window: int = WINDOW

    @classmethod
    def from_files(
        cls, files: Sequence[Path], seed: int, *, mixed: bool = False, first_number: int = 0, window: int = WINDOW
    ) -> Self:
        """Read the metadata of the files.

        Args:
            files: Parquet files, in order.
            seed: Seed of the training.
            mixed: Whether each epoch samples rows with their weight as probability; for synthetic rows.
            first_number: Number of the first row. Numbers must be distinct within a training, so for synthetic rows
                this is the number of real rows.
            window: Rows that are shuffled together, at least 1.

        Raises:
            SchemaError: If a file lacks a column.
        """
        sizes: list[tuple[Path, int, int]] = []
        for file in files:
            metadata = pq.read_metadata(file)
            missing = [name for name in COLUMNS if name not in metadata.schema.to_arrow_schema().names]
            if missing:
                raise SchemaError(
                    f"{file} has no column '{missing[0]}'",
                    expected=f"columns {', '.join(COLUMNS)}: codes, weights and Booleans",
                    fix="write the coded rows with these names",
                )
            sizes += [(file, place, metadata.row_group(place).num_rows) for place in range(metadata.num_row_groups)]
        starts = accumulate((rows for _, _, rows in sizes), initial=first_number)
        groups = tuple(
            Group(file, place, first, rows) for (file, place, rows), first in zip(sizes, starts, strict=False)
        )
        return cls(groups, RowSampling(seed, mixed), window)

    def count(self, epoch: int) -> int:
        """Return the number of rows of an epoch; reads weights if rows are sampled or restricted to a part."""
        if not self.sampling.mixed and self.sampling.within == WHOLE:
            return sum(group.rows for group in self.groups)
        return sum(len(self.sampling.kept(_read(group, ("weight",)), epoch)) for group in self.groups)

    def portions(self, epoch: int) -> Iterator[TrainingRows]:
        """Yield the rows of an epoch, window by window."""
        firsts = np.array([group.first for group in self.groups], np.uint64)
        epochs = np.full(len(firsts), epoch, np.uint64)
        order = np.argsort(rng.keyed_units(self.sampling.seed, rng.Purpose.TRAIN_ORDER, firsts, epochs), kind="stable")
        waiting: list[TrainingRows] = []
        for place in order:
            waiting.append(self.sampling.kept(_read(self.groups[place], COLUMNS), epoch))
            if sum(map(len, waiting)) >= self.window:
                yield self.sampling.shuffled(TrainingRows.joined(waiting), epoch)
                waiting = []
        if waiting:
            yield self.sampling.shuffled(TrainingRows.joined(waiting), epoch)

    def popularity(self, n_items: int) -> tuple[Floats, Floats]:
        """Return the weight of all real and of all synthetic rows by item, shape (n_items,) each."""
        real, synthetic = np.zeros(n_items), np.zeros(n_items)
        for group in self.groups:
            of_real, of_synthetic = popularity_of(self.sampling.allowed(_read(group, COLUMNS)), n_items)
            real += of_real
            synthetic += of_synthetic
        return real, synthetic

    def appearances(self, n_items: int) -> Floats:
        """Return the expected number of times that an epoch includes each item, shape (n_items,)."""
        times = np.zeros(n_items)
        for group in self.groups:
            times += self.sampling.appearances(_read(group, ("item", "weight")), n_items)
        return times

    def part(self, low: float, high: float) -> Self:
        """Return the rows whose hash is in [low, high)."""
        return replace(self, sampling=self.sampling.part(low, high))


def _read(group: Group, columns: tuple[str, ...]) -> TrainingRows:
    """Read some columns of a row group; the others are zeros."""
    with pq.ParquetFile(group.file) as file:
        table = file.read_row_group(group.place, columns=list(columns), use_threads=False)
    number = np.arange(group.first, group.first + group.rows, dtype=np.int64)
    kinds = (np.int32, np.int32, np.float32, np.bool_)
    values = [
        table[name].to_numpy().astype(kind, copy=False) if name in columns else np.zeros(group.rows, kind)
        for name, kind in zip(COLUMNS, kinds, strict=True)
    ]
    return TrainingRows(number, *values)
