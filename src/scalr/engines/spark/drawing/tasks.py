"""What tasks do with a part: draw, narrow down, and give rows, tables or sums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.engines.spark.cluster.broadcast import Shipped
from scalr.engines.spark.cluster.form import SourceForm
from scalr.engines.spark.cluster.part import PartPair, TargetSide, chosen_rows, parts_of, places_among, real_pairs_of
from scalr.engines.spark.drawing.rows import BATCH_ROWS, MostConfident, ReadRows, read_rows, rows_schema, to_table
from scalr.engines.spark.fitting.part_translation import Fitted
from scalr.foundation import SampleSettings
from scalr.logs import PackedTimes, StoredLog, StoredPair
from scalr.synthesis import (
    BUFFER_ROWS,
    Alignment,
    AlignStep,
    Buckets,
    Chunk,
    Count,
    Masses,
    NegativeLaw,
    Part,
    Rows,
    Step,
    Stream,
    TableBuilder,
    keys_of,
    masses_of,
    taken,
    with_negatives,
)


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """All that drawing takes beside the events; the same for every pass.

    Attributes:
        form: What the columns of the events mean.
        side: The target side.
        fitted: The translation.
        settings: Draws per event, strategy, temperature, minimum support.
        min_support: Least support that refining keeps.
        seed: Any integer.
        builder: Builds tables of the target log's columns.
        filer: The same, with texts as dictionaries: for files that tasks write.
        schema: Types that Spark shall see.
        law: What negative rows are drawn from; None where there are none.
    """

    form: SourceForm
    side: TargetSide
    fitted: Fitted
    settings: SampleSettings
    min_support: int
    seed: int
    builder: TableBuilder
    filer: TableBuilder
    schema: pa.Schema
    law: NegativeLaw | None


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """What narrows rows down, each by itself.

    Attributes:
        of_draws: Steps that draws go through.
        plan: Alignment, for rows that were drawn earlier; None for none.
        weighed: Buckets whose weights are told of the rows that are left; None for none.
    """

    of_draws: tuple[Step, ...] = ()
    plan: Alignment | None = None
    weighed: Buckets | None = None


class ByPart:
    """Adds up what parts tell, by their numbers: a part that is worked on twice counts once."""

    def zero(self, value: dict[Any, Any]) -> dict[Any, Any]:
        """Return nothing."""
        return {}

    def addInPlace(self, one: dict[Any, Any], other: dict[Any, Any]) -> dict[Any, Any]:  # noqa: N802 - Spark's name
        """Return both; what was told before is told again with the same words."""
        one.update(other)
        return one


@dataclass(frozen=True, slots=True)
class Told:
    """What a part tells of its rows.

    Attributes:
        count: Rows that each stage left.
        cells: Weight in each cell of the alignment's buckets; None where nobody asks.
    """

    count: Count
    cells: Any = None


def stream_of(part: PartPair, work: Work) -> tuple[Stream, Part]:
    """Return the draws of a part."""
    whole = Part(0, 0, len(part.pair.source.items))
    real = real_pairs_of(work.side.real, part.place)
    translation = work.fitted.for_part(part)
    return Stream(part.pair, translation, work.settings, work.min_support, work.seed, 1, (whole,), real), whole


def chunks_of(part: PartPair, work: Work, steps: tuple[Step, ...], count: Count) -> Iterator[Chunk]:
    """Draw for the part's own events and narrow down; see `Stream.chunks`."""
    stream, whole = stream_of(part, work)
    events = part.own_positives()
    yield from stream.chunks(whole, steps, count, events=events)


@dataclass(frozen=True, slots=True)
class _Pass:
    work: Shipped[Work]
    steps: Shipped[Steps]
    told: Any = None

    def parts(self, batches: Iterable[pa.RecordBatch]) -> Iterator[PartPair]:
        return parts_of(batches, self.work.open().side)

    def tell(self, number: int, count: Count, masses: list[Masses]) -> None:
        if self.told is not None:
            self.told.add({number: Told(count, reduce(add, masses).cell if masses else None)})


@dataclass(frozen=True, slots=True)
class DrawTables(_Pass):
    """Draws and gives synthetic events in the target log's columns."""

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Work on the parts of a partition."""
        work = self.work.open()
        for _, table in self.tables(batches, work.builder):
            yield from as_spark_has_it(table, work.schema)

    def tables(self, batches: Iterable[pa.RecordBatch], builder: TableBuilder) -> Iterator[tuple[Rows, pa.Table]]:
        """Give events as codes and as the tables that are built of them."""
        work, steps = self.work.open(), self.steps.open()
        for part in self.parts(batches):
            build = builder.over(part.pair)
            law = None if work.law is None else law_of(work.law, part.place)
            count, masses = Count(), []
            for chunk in chunks_of(part, work, steps.of_draws, count):
                rows = chunk.rows()
                if steps.weighed is not None:
                    masses.append(masses_of(steps.weighed, rows))
                yield from tables_of(rows, build, law, count)
            self.tell(part.number, count, masses)


@dataclass(frozen=True, slots=True)
class DrawRows(_Pass):
    """Draws and gives rows that a later step compares with each other; see `rows_schema`."""

    cap: MostConfident | None = None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Work on the parts of a partition."""
        work, steps = self.work.open(), self.steps.open()
        schema, draws = rows_schema(work.form), work.settings.draws_per_event
        for part in self.parts(batches):
            count, masses = Count(), []
            for chunk in chunks_of(part, work, steps.of_draws, count):
                rows = chunk.rows()
                if steps.weighed is not None:
                    masses.append(masses_of(steps.weighed, rows))
                table = to_table(rows, part, chunk.places(0, draws), schema)
                if self.cap is not None:  # what a part would drop by itself need not travel
                    table = self.cap.narrowed(table)
                yield from table.to_batches(BATCH_ROWS)
            self.tell(part.number, count, masses)


@dataclass(frozen=True, slots=True)
class DrawMasses(_Pass):
    """Draws and gives the weight in each cell of the alignment's buckets, one row per part."""

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Work on the parts of a partition."""
        work, steps = self.work.open(), self.steps.open()
        assert steps.weighed is not None
        for part in self.parts(batches):
            masses = [masses_of(steps.weighed, c.rows()) for c in chunks_of(part, work, steps.of_draws, Count())]
            yield cells_told(part.number, reduce(add, masses).cell)


@dataclass(frozen=True, slots=True)
class WeighRows:
    """Gives the weight in each cell of rows that were drawn earlier, one row per partition."""

    form: SourceForm
    steps: Shipped[Steps]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Work on a partition."""
        from pyspark import TaskContext

        buckets = self.steps.open().weighed
        assert buckets is not None
        cells = np.zeros(int(np.prod(buckets.shape)))
        for batch in batches:
            cells += masses_of(buckets, read_rows(pa.Table.from_batches([batch]), self.form).rows).cell
        context = TaskContext.get()
        yield cells_told(0 if context is None else context.partitionId(), cells)


@dataclass(frozen=True, slots=True)
class AlignRows:
    """Leaves rows that were drawn earlier by the chance of their bucket."""

    form: SourceForm
    steps: Shipped[Steps]
    told: Any
    cap: MostConfident | None = None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Work on a partition."""
        for batch, rows, _ in _aligned(batches, self.form, self.steps, self.told):
            table = batch if self.cap is None else self.cap.narrowed(batch)
            if len(rows):
                yield from table.to_batches(BATCH_ROWS)


@dataclass(frozen=True, slots=True)
class EmitRows:
    """Gives rows that were drawn earlier in the target log's columns."""

    work: Shipped[Work]
    steps: Shipped[Steps]
    told: Any

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Work on a partition."""
        work = self.work.open()
        for _, table in self.tables(batches, work.builder):
            yield from as_spark_has_it(table, work.schema)

    def tables(self, batches: Iterable[pa.RecordBatch], builder: TableBuilder) -> Iterator[tuple[Rows, pa.Table]]:
        """Give events as codes and as the tables that are built of them."""
        work = self.work.open()
        for _, rows, read in _aligned(larger(batches), work.form, self.steps, self.told):
            source = StoredLog(work.form.name, read.users, read.source_items, np.zeros(1, np.int64), None)
            time = None if rows.event_time is None else PackedTimes(0, 1, rows.event_time)
            source = replace(source, time=time, time_unit=work.form.time_unit)
            target = replace(work.side.target, users=read.users)
            pair = StoredPair(source, target, work.builder.pair.source_counts, items=work.side.items)
            law = None if work.law is None else law_of(work.law, places_among(read.users, work.side.target.users))
            yield from tables_of(rows, builder.over(pair), law, Count())


def _aligned(
    batches: Iterable[pa.RecordBatch], form: SourceForm, shipped: Shipped[Steps], told: Any
) -> Iterator[tuple[pa.Table, Rows, ReadRows]]:
    """Give the rows of each batch that alignment leaves, and tell what is left of the partition."""
    from pyspark import TaskContext

    steps, count, cells = shipped.open(), Count(), []
    for batch in batches:
        table = pa.Table.from_batches([batch])
        read = read_rows(table, form)
        rows = read.rows
        count.add("in", len(rows))
        if steps.plan is not None:
            keep = steps.plan.keeps(rows.item, rows.time, keys_of(rows))
            rows, table = taken(rows, np.flatnonzero(keep)), table.filter(pa.array(keep))
        if steps.weighed is not None:
            cells.append(masses_of(steps.weighed, rows))
        count.add("out", len(rows))
        yield table, rows, read
    context = TaskContext.get()
    told.add({0 if context is None else context.partitionId(): Told(count, reduce(add, cells).cell if cells else None)})


def larger(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Give the rows of batches in batches of about `BUFFER_ROWS`."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if held and sum(map(len, held)) + len(batch) > BUFFER_ROWS:
            yield pa.concat_batches(held)
            held = []
        held.append(batch)
    if held:
        yield pa.concat_batches(held)


def as_spark_has_it(table: pa.Table, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Give a table in the types that Spark shall see."""
    columns = [column.cast(kind) for column, kind in zip(table.columns, schema.types, strict=True)]
    yield from pa.Table.from_arrays(columns, schema=schema).to_batches(BATCH_ROWS)


def tables_of(
    rows: Rows, build: TableBuilder, law: NegativeLaw | None, count: Count
) -> Iterator[tuple[Rows, pa.Table]]:
    """Give rows, with their negatives where there is a law of them, and tables of the target log's columns."""
    for some in [rows] if law is None else with_negatives(rows, law):
        if len(some):
            count.add("emit", len(some))
            yield some, build(some)


def law_of(law: NegativeLaw, place: Any) -> NegativeLaw:
    """Return the law of negatives for some users, by their places among the target users."""
    start, rows = chosen_rows(law.positive_start, place)
    return replace(law, positive_start=start, positive_item=law.positive_item[rows])


def cells_told(number: int, cells: Any) -> pa.RecordBatch:
    """Return weights of cells as a row."""
    return pa.RecordBatch.from_arrays(
        [pa.array([number], pa.int32()), pa.array([cells.tobytes()], pa.binary())], names=["part", "cells"]
    )


def aligned_by(plan: Alignment) -> AlignStep:
    """Return the step of an alignment, without the real events that tasks do not need."""
    return AlignStep(slim_plan(plan))


def slim_plan(plan: Alignment) -> Alignment:
    """Return a plan without the real events, which only distances need."""
    return replace(plan, buckets=slim(plan.buckets))


def slim(buckets: Buckets) -> Buckets:
    """Return buckets without the real events, which only distances need."""
    marginals = tuple(replace(one, real=np.zeros(0)) for one in buckets.marginals)
    return Buckets(marginals, buckets.passed_over, buckets.n_items)
