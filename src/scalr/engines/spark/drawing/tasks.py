"""Tasks of the passes: draw from a part, narrow the rows down, and emit rows, tables or sums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.engines.spark.cluster.broadcast import BroadcastValue
from scalr.engines.spark.cluster.form import SourceForm
from scalr.engines.spark.cluster.part import PartPair, TargetSide, parts_of, places_among, real_pairs_of, rows_of_groups
from scalr.engines.spark.drawing.rows import BATCH_ROWS, CompareRows, ReadRows, read_rows, rows_schema, to_table
from scalr.engines.spark.fitting.part_translation import FittedTranslation
from scalr.foundation import Floats, SampleSettings
from scalr.logs import PackedTimes, StoredLog, StoredPair
from scalr.synthesis import (
    BUFFER_ROWS,
    Buckets,
    Chunk,
    Count,
    NegativeLaw,
    Part,
    Rows,
    RowStep,
    Stream,
    TableBuilder,
    taken,
    with_negatives,
)


@dataclass(frozen=True, slots=True, eq=False)
class DrawContext:
    """All that drawing needs besides the events; the same in every pass.

    Attributes:
        form: What the columns of the events mean.
        side: The target side.
        fitted: The translation.
        settings: Draws per event, strategy, temperature, minimum support.
        min_support: Least support that refining keeps.
        seed: Any integer.
        builder: Builds tables of the target log's columns.
        filer: The same with texts as dictionaries, for files that tasks write.
        schema: Column types for Spark.
        law: The law of negative rows; None without negatives.
    """

    form: SourceForm
    side: TargetSide
    fitted: FittedTranslation
    settings: SampleSettings
    min_support: int
    seed: int
    builder: TableBuilder
    filer: TableBuilder
    schema: pa.Schema
    law: NegativeLaw | None


@dataclass(frozen=True, slots=True, eq=False)
class RowSteps:
    """What a task does to rows, each by itself.

    Attributes:
        steps: Steps that narrow the rows down, in order.
        after: Stage that has left the rows that come in; empty for new draws.
        weighed: Buckets of alignment in which the rows that are left are weighed; None without.
    """

    steps: tuple[RowStep, ...] = ()
    after: str = ""
    weighed: Buckets | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PartCounts:
    """Counts of a part or a partition.

    Attributes:
        count: Rows that each stage left.
        cells: Weight in each cell of alignment, shape (n_cells,); None if rows are not weighed.
    """

    count: Count
    cells: Floats | None = None

    def __add__(self, other: PartCounts) -> PartCounts:
        count = Count()
        count.join(self.count)
        count.join(other.count)
        cells = [counts.cells for counts in (self, other) if counts.cells is not None]
        return PartCounts(count, reduce(add, cells) if cells else None)


class ByPartNumber:
    """Accumulates counts by part number. A part that is processed twice reports equal counts and counts once."""

    def zero(self, value: dict[Any, Any]) -> dict[Any, Any]:
        """Return no counts."""
        return {}

    def addInPlace(self, one: dict[Any, Any], other: dict[Any, Any]) -> dict[Any, Any]:  # noqa: N802 - Spark's name
        """Return the counts of both; later reports of a part replace earlier ones."""
        one.update(other)
        return one


def stream_of(part: PartPair, context: DrawContext) -> tuple[Stream, Part]:
    """Return the draws of a part, as a stream of one part."""
    whole = Part(0, 0, len(part.pair.source.items))
    real = real_pairs_of(context.side.real, part.place)
    translation = context.fitted.for_part(part)
    return Stream(part.pair, translation, context.settings, context.min_support, context.seed, 1, (whole,), real), whole


def chunks_of(part: PartPair, context: DrawContext, steps: tuple[RowStep, ...], count: Count) -> Iterator[Chunk]:
    """Draw for the events that belong to the part, and narrow the draws down; see `Stream.chunks`."""
    stream, whole = stream_of(part, context)
    yield from stream.chunks(whole, steps, count, events=part.own_positives())


@dataclass(frozen=True, slots=True)
class _DrawTask:
    """Draws from the parts of a partition.

    Attributes:
        context: All that drawing needs.
        steps: Steps that narrow the draws down.
        counts: Accumulator of `PartCounts`; None if the counts are not needed.
    """

    context: BroadcastValue[DrawContext]
    steps: BroadcastValue[RowSteps]
    counts: Any = None

    def drawn(self, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[PartPair, Chunk, Count]]:
        """Yield the chunks of all parts, and report the counts of each part."""
        context, steps = self.context.open(), self.steps.open()
        for part in parts_of(batches, context.side):
            count, cells = Count(), []
            for chunk in chunks_of(part, context, steps.steps, count):
                if steps.weighed is not None:
                    cells.append(steps.weighed.weigh(chunk.rows()).cell)
                yield part, chunk, count
            if self.counts is not None:
                self.counts.add({part.number: PartCounts(count, reduce(add, cells) if cells else None)})


@dataclass(frozen=True, slots=True)
class DrawTables(_DrawTask):
    """Draws, and emits synthetic events in the target log's columns."""

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Process the parts of a partition."""
        context = self.context.open()
        for _, table in self.tables(batches, context.builder):
            yield from to_spark_batches(table, context.schema)

    def tables(self, batches: Iterable[pa.RecordBatch], builder: TableBuilder) -> Iterator[tuple[Rows, pa.Table]]:
        """Yield events as codes and as tables."""
        context, current = self.context.open(), None
        for part, chunk, count in self.drawn(batches):
            if part is not current:
                current, build = part, builder.over(part.pair)
                law = None if context.law is None else law_for_users(context.law, part.place)
            yield from event_tables(chunk.rows(), build, law, count)


@dataclass(frozen=True, slots=True)
class DrawRows(_DrawTask):
    """Draws, and emits rows that a later pass compares with each other; see `rows_schema`.

    Attributes:
        preselect: Narrows the rows of each chunk before they are shuffled; None without.
    """

    preselect: CompareRows | None = None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Process the parts of a partition."""
        context = self.context.open()
        schema, draws = rows_schema(context.form), context.settings.draws_per_event
        for part, chunk, _ in self.drawn(batches):
            table = to_table(chunk.rows(), part, chunk.places(0, draws), schema)
            if self.preselect is not None:
                table = self.preselect.narrowed(table)
            yield from table.to_batches(BATCH_ROWS)


@dataclass(frozen=True, slots=True)
class DrawMasses(_DrawTask):
    """Draws, and emits the weight in each cell of alignment, one row per part."""

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Process the parts of a partition."""
        context, steps = self.context.open(), self.steps.open()
        assert steps.weighed is not None
        for part in parts_of(batches, context.side):
            chunks = chunks_of(part, context, steps.steps, Count())
            yield cells_batch(part.number, reduce(add, (steps.weighed.weigh(chunk.rows()) for chunk in chunks)).cell)


@dataclass(frozen=True, slots=True)
class WeighRows:
    """Emits the weight of intermediate rows in each cell of alignment, one row per partition."""

    form: SourceForm
    steps: BroadcastValue[RowSteps]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Process a partition."""
        steps = self.steps.open()
        assert steps.weighed is not None
        cells = np.zeros(int(np.prod(steps.weighed.shape)))
        for _, rows, _ in _narrowed(batches, self.form, steps, Count()):
            cells += steps.weighed.weigh(rows).cell
        yield cells_batch(_partition(), cells)


@dataclass(frozen=True, slots=True)
class NarrowRows:
    """Emits the intermediate rows that are left, for a later pass that compares them with each other.

    Attributes:
        form: What the columns of the events mean.
        steps: Steps that narrow the rows down.
        counts: Accumulator of `PartCounts`.
        preselect: Narrows the rows of each batch before they are shuffled; None without.
    """

    form: SourceForm
    steps: BroadcastValue[RowSteps]
    counts: Any
    preselect: CompareRows | None = None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Process a partition."""
        for table, rows, _ in _counted(batches, self.form, self.steps.open(), self.counts):
            if len(rows):
                left = table if self.preselect is None else self.preselect.narrowed(table)
                yield from left.to_batches(BATCH_ROWS)


@dataclass(frozen=True, slots=True)
class EmitRows:
    """Emits the intermediate rows that are left in the target log's columns.

    Attributes:
        context: As in drawing.
        steps: Steps that narrow the rows down.
        counts: Accumulator of `PartCounts`.
    """

    context: BroadcastValue[DrawContext]
    steps: BroadcastValue[RowSteps]
    counts: Any

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Process a partition."""
        context = self.context.open()
        for _, table in self.tables(batches, context.builder):
            yield from to_spark_batches(table, context.schema)

    def tables(self, batches: Iterable[pa.RecordBatch], builder: TableBuilder) -> Iterator[tuple[Rows, pa.Table]]:
        """Yield events as codes and as tables."""
        context = self.context.open()
        for _, rows, read in _counted(larger_batches(batches), context.form, self.steps.open(), self.counts):
            law = None
            if context.law is not None:
                law = law_for_users(context.law, places_among(read.users, context.side.target.users))
            yield from event_tables(rows, builder.over(_pair_of(rows, read, context)), law, Count())


def _counted(
    batches: Iterable[pa.RecordBatch], form: SourceForm, steps: RowSteps, counts: Any
) -> Iterator[tuple[pa.Table, Rows, ReadRows]]:
    """Yield the rows of each batch that the steps leave, and report the counts of the partition."""
    count, cells = Count(), []
    for table, rows, read in _narrowed(batches, form, steps, count):
        if steps.weighed is not None:
            cells.append(steps.weighed.weigh(rows).cell)
        yield table, rows, read
    counts.add({_partition(): PartCounts(count, reduce(add, cells) if cells else None)})


def _narrowed(
    batches: Iterable[pa.RecordBatch], form: SourceForm, steps: RowSteps, count: Count
) -> Iterator[tuple[pa.Table, Rows, ReadRows]]:
    """Yield the rows of each batch that the steps leave, as a table and as codes; count them by stage."""
    for stage in (steps.after, *(step.stage for step in steps.steps)):
        count.add(stage, 0)
    for batch in batches:
        table = pa.Table.from_batches([batch])
        read = read_rows(table, form)
        rows = read.rows
        count.add(steps.after, len(rows))
        for step in steps.steps:
            keep = step.rule.keep(rows)
            rows, table = taken(rows, np.flatnonzero(keep)), table.filter(pa.array(keep))
            count.add(step.stage, len(rows))
        yield table, rows, read


def _pair_of(rows: Rows, read: ReadRows, context: DrawContext) -> StoredPair:
    """Return a pair without source events in whose codes intermediate rows are written."""
    time = None if rows.event_time is None else PackedTimes(0, 1, rows.event_time)
    source = StoredLog(context.form.name, read.users, read.source_items, np.zeros(1, np.int64), None)
    source = replace(source, time=time, time_unit=context.form.time_unit)
    target = replace(context.side.target, users=read.users)
    return StoredPair(source, target, context.builder.pair.source_counts, items=context.side.items)


def _partition() -> int:
    """Return the number of the task's partition; 0 outside Spark."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return 0 if context is None else int(context.partitionId())


def larger_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of small batches in batches of about `BUFFER_ROWS`."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        if waiting and sum(map(len, waiting)) + len(batch) > BUFFER_ROWS:
            yield pa.concat_batches(waiting)
            waiting = []
        waiting.append(batch)
    if waiting:
        yield pa.concat_batches(waiting)


def to_spark_batches(table: pa.Table, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a table, cast to the types of a schema."""
    columns = [column.cast(kind) for column, kind in zip(table.columns, schema.types, strict=True)]
    yield from pa.Table.from_arrays(columns, schema=schema).to_batches(BATCH_ROWS)


def event_tables(
    rows: Rows, build: TableBuilder, law: NegativeLaw | None, count: Count
) -> Iterator[tuple[Rows, pa.Table]]:
    """Yield rows and their tables in the target log's columns; with negative rows where there is a law for them."""
    for labelled in [rows] if law is None else with_negatives(rows, law):
        if len(labelled):
            count.add("emit", len(labelled))
            yield labelled, build(labelled)


def law_for_users(law: NegativeLaw, place: Any) -> NegativeLaw:
    """Return the law of negatives for users with these places among the target users."""
    start, rows = rows_of_groups(law.positive_start, place)
    return replace(law, positive_start=start, positive_item=law.positive_item[rows])


def cells_batch(number: int, cells: Any) -> pa.RecordBatch:
    """Return the weights of cells as a row."""
    return pa.RecordBatch.from_arrays(
        [pa.array([number], pa.int32()), pa.array([cells.tobytes()], pa.binary())], names=["part", "cells"]
    )


def without_real(buckets: Buckets) -> Buckets:
    """Return buckets without the real events, which distances need and tasks do not."""
    marginals = tuple(replace(marginal, real=np.zeros(0)) for marginal in buckets.marginals)
    return Buckets(marginals, buckets.passed_over, buckets.n_items)
