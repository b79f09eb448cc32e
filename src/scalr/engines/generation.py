"""`generate`: synthetic events in memory, or on Spark if the logs are Spark frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from scalr.engines.spark.cluster.session import is_spark_frame
from scalr.engines.spark.generation import SparkGeneration, generate_on_spark
from scalr.foundation import Board, Receipt, SilentBoard, Steps, Stopwatch
from scalr.logs import Columns, LogRequest, Pair, Source, StoredPair, read_logs
from scalr.synthesis import (
    SyntheticEvents,
    TableBuilder,
    fit,
    generation_name,
    labelled_rows_of,
    negative_law,
    refine,
    refuse_unprotected,
    rows_of,
    sample,
)


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """Synthetic events of whole logs in memory, and how they came about.

    Attributes:
        events: The events as codes.
        generation_id: 16 hexadecimal digits; equal for equal logs, settings and seed.
        receipts: One per stage, from reading on.
        steps: The settings.
        stored: The logs, with their source packed.
    """

    events: SyntheticEvents
    generation_id: str
    receipts: tuple[Receipt, ...]
    steps: Steps
    stored: StoredPair

    @property
    def pair(self) -> Pair:
        """Return the logs."""
        return self.events.pair

    def table(self, layout: str = "target") -> pa.Table:
        """Return the events as an Arrow table; see `scalr.synthesis.tables.TableBuilder` for the layouts."""
        law = negative_law(self.stored, self.steps)
        build = TableBuilder(self.stored, self.generation_id, layout, labelled=law is not None)
        if law is None:
            return build(rows_of(self.events))
        labelled = labelled_rows_of(self.events, law, self.stored, self.steps.sample)
        return pa.concat_tables([build.schema.empty_table(), *(build(rows).cast(build.schema) for rows in labelled)])


def generate(
    source: Source | Mapping[str, Source],
    target: Source,
    *,
    items: Source | None = None,
    columns: Columns | None = None,
    steps: Steps | None = None,
    threads: int | None = None,
    board: Board | None = None,
) -> Generation | SparkGeneration:
    """Turn source events into synthetic target events in memory: read, fit, sample, refine.

    Use `write_generation` for events that do not fit in memory. For frames of Spark the result is a `SparkGeneration`.

    Args:
        source: File, glob, folder or frame (pandas, Polars, PyArrow, DuckDB, Spark); or several, by domain name.
        target: The log of the domain to enrich, in the same forms.
        items: Item table, for values and further columns.
        columns: Column names in all logs; common names are found without them.
        steps: Settings; of these `seed`, `translate`, `sample` and `refine` are used.
        threads: Threads to draw with; all cores if None. The events do not depend on it.
        board: Where progress is shown.

    Raises:
        InputError: If a log cannot be used.

    Example:
        >>> import scalr
        >>> world = scalr.simulate(n_users=200, seed=1)
        >>> events = scalr.generate(world.source, world.target).table()
        >>> events.column_names[:5]
        ['user', 'item', 'time', 'value', 'is_synthetic']
    """
    if is_spark_frame(source):
        return generate_on_spark(source, target, items=items, columns=columns, steps=steps, board=board)
    board = board or SilentBoard()
    with Stopwatch() as watch:
        steps = steps or Steps()
        join = steps.negatives.kind != "none"
        request = LogRequest(source, target, items=items, columns=columns, item_columns=join)
        stored = read_logs(request, board=board)
    rows = len(stored.source) + len(stored.target)
    return generate_from(stored, steps, watch.receipt("read", rows, rows), threads=threads, board=board)


def generate_from(
    stored: StoredPair, steps: Steps, reading: Receipt, *, threads: int | None = None, board: Board | None = None
) -> Generation:
    """Fit, sample and refine in memory, on whole logs that were read before."""
    board = board or SilentBoard()
    refuse_unprotected(steps)
    pair = stored.load()
    board.stage("fitting the translation")
    translation = fit(pair, settings=steps.translate)
    drawn = board.stage("drawing synthetic events", len(pair.source.positives()))
    events = sample(translation, steps.sample, seed=steps.seed, threads=threads, progress=drawn)
    board.stage("refining")
    events = refine(events, steps.refine)
    return Generation(events, generation_name(stored, steps), (reading, *events.receipts), steps, stored)
