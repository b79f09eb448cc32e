"""Synthetic events from Spark frames, the same as the local engine's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.engines.spark.cluster.broadcast import Shipped, ship
from scalr.engines.spark.cluster.layout import Layout, cut, lay_out
from scalr.engines.spark.cluster.part import TargetSide
from scalr.engines.spark.cluster.session import checked, no_pandas_warning, require_spark
from scalr.engines.spark.cluster.types import spark_schema
from scalr.engines.spark.drawing.days import of_day, write_day
from scalr.engines.spark.drawing.passes import Given, Passes
from scalr.engines.spark.drawing.tasks import Work
from scalr.engines.spark.drawing.writing import Filed
from scalr.engines.spark.fitting.counting import SourceCount, count_source, packed_parts
from scalr.engines.spark.fitting.fitting import check_translator, fit_on_spark, histories_of
from scalr.engines.spark.reading.logs import SparkLogs, look, paths_of
from scalr.foundation import Board, ConfigError, Receipt, SchemaError, SilentBoard, Stopwatch
from scalr.foundation import Steps as Settings
from scalr.logs import Columns, EventLog, LogRequest, SourceCounts, StoredPair, catalogue_of
from scalr.synthesis import (
    NegativeLaw,
    RealPairs,
    TableBuilder,
    check_columns,
    check_window,
    generation_name,
    negative_law,
)


@dataclass(frozen=True, slots=True, eq=False)
class SparkGeneration:
    """Synthetic events as a Spark frame, and how they come about.

    Drawing happens when the frame is used, each time anew unless it is cached; the events are the same each time.

    Attributes:
        frame: The events: columns of the target log, then those of synthetic events.
        generation_id: 16 hexadecimal digits; that of the local engine for the same logs, settings and seed.
        pair: The target log; its source has no events here.
        source: The source in numbers.
        layout: How the source was cut into parts.
        receipts: One per stage that is done already.
        law: What negative rows are drawn from; None where there are none.
    """

    frame: Any
    generation_id: str
    pair: StoredPair
    source: SourceCount
    layout: Layout
    receipts: tuple[Receipt, ...]
    law: NegativeLaw | None
    _passes: Passes
    _work: Work
    _held: list[Any] = field(default_factory=list)

    def table(self) -> pa.Table:
        """Return the events as an Arrow table on the driver; for few of them."""
        with no_pandas_warning():
            return self.frame.toArrow()

    def write(self, out: Path) -> Filed:
        """Let tasks write the events into a new folder, which they and the driver share; see `write_files`."""
        return self._passes.write(self._work, out)

    def negatives_of(self, rows: int) -> int:
        """Return how many of so many rows are negative."""
        return 0 if self.law is None else rows - rows // (1 + int(self.law.rows))

    def stage_receipts(self, watch: Stopwatch) -> tuple[Receipt, ...]:
        """Return the receipts of all stages, once the frame was written with one action.

        Args:
            watch: The time that action took; Spark does not say how it divides among the stages.
        """
        return (*self.receipts, *self._passes.receipts(self.source, watch))

    def release(self) -> None:
        """Free what Spark holds for the frame; it cannot be used any more afterwards."""
        for one in self._held:
            one.unpersist() if hasattr(one, "unpersist") else one.release()
        self._held.clear()


def generate_on_spark(
    source: Any, target: Any, *, items: Any = None, columns: Columns | None = None, steps: Settings | None = None,
    partitions: int | None = None, day: dt.date | None = None, board: Board | None = None, **reading: Any,
) -> SparkGeneration:  # fmt: skip
    """Turn source events in Spark into synthetic target events in Spark.

    The source is shuffled once, by item. The target log, the item table and what is fitted are held by the driver and
    once by each machine.

    Args:
        source: A Spark frame; or several, by domain name.
        target: A Spark frame, or what the local engine reads (a path, or a frame in memory).
        items: Likewise, the item table.
        columns: Column names in all logs; common names are found without.
        steps: Settings; of these `seed`, `translate`, `sample`, `refine` and `negatives` are used.
        partitions: Parts to cut the source into; None to choose. The events do not depend on it.
        day: Only source events of this day (UTC) get synthetic events; all of them testify. None for all days.
        board: Where stages are shown.
        reading: `source_columns`, `target_columns`, `time_unit`, `ids`, `drop_nulls`, as in `scalr.read_pair`.

    Raises:
        InputError: If a log or a setting cannot be used.
        MissingExtraError: If PySpark or Java is missing.
    """
    require_spark()
    board, settings = board or SilentBoard(), steps or Settings()
    check_translator(settings.translate)
    session = checked((next(iter(source.values())) if isinstance(source, Mapping) else source).sparkSession)
    board.stage("reading logs")
    with Stopwatch() as watch:
        logs = look(LogRequest(source, target, items, columns, **reading), settings)
    rows = logs.rows + len(logs.pair.target)
    reading_done = watch.receipt("read", rows, rows)
    return generate_from_logs(logs, settings, session, reading_done, partitions=partitions, day=day, board=board)


def generate_from_logs(
    logs: SparkLogs, settings: Settings, session: Any, reading: Receipt, *, partitions: int | None,
    day: dt.date | None, board: Board,
) -> SparkGeneration:  # fmt: skip
    """Do what `generate_on_spark` does for logs that were looked at."""
    check_columns(logs.pair)
    paths = paths_of(settings.translate)
    if paths is not None:
        check_window(paths, timed="time" in logs.form.roles and logs.pair.target.time is not None)
    chosen = None if day is None else of_day(day, logs.form.time_unit)
    held: list[Any] = []

    def shipped(value: Any) -> Shipped[Any]:
        given: Shipped[Any] = ship(session.sparkContext, value)
        held.append(given)
        return given

    pair, form, target = logs.pair, logs.form, logs.pair.target
    histories = histories_of(pair, settings.translate)
    slim = _without_events(target)
    start = np.zeros(len(target.users) + 1, np.int64)
    np.cumsum(np.bincount(target.user, minlength=len(target.users)), out=start[1:])
    side = TargetSide(slim, RealPairs(start, target.item), pair.items)
    with Stopwatch() as watch:
        board.stage("laying the source out by item")
        testifies = np.diff(histories.start) > 0
        layout = cut(logs.events, logs.rows, 0 if paths is None else int(testifies.sum()), partitions=partitions)
        users = shipped((target.users, np.zeros(0, np.bool_) if paths is None else testifies))
        windowed = paths is not None and paths.window_days is not None
        laid = lay_out(logs.events, form, layout, users, windowed=windowed)
        given = shipped(side)
        packed = packed_parts(laid, form, given, shipped(histories.start)).persist()
        held.append(packed)
        counted = count_source(packed)
    if not counted.known_positives:
        raise SchemaError(
            "no user has positive events in both domains",
            expected="users that are active in the source and in the target",
            fix="use the same user ids in all logs, and check the columns with --user",
        )
    facts = {"parts": layout.parts, "split_items": len(layout.hot), "largest_part": counted.largest_part}
    laying = watch.receipt("lay_out", logs.rows, counted.events, **facts)
    board.stage("fitting the translation")
    nothing = np.zeros(0, np.int64)
    counts = SourceCounts(nothing, nothing, nothing, (), counted.whole_weights, counted.digest)
    pair = replace(pair, source_counts=counts, warnings=logs.target.warnings)
    fitted = fit_on_spark(pair, histories, settings.translate, packed, given, logs.target.categories, counted, shipped)
    name = generation_name(pair, settings)
    law = _checked_law(negative_law(pair, settings))
    builder = TableBuilder(pair, name, labelled=law is not None)
    schema, frame_schema = spark_schema(builder.schema)
    work = Work(
        form=form,
        side=side.with_weights(counted.whole_weights),
        fitted=fitted.over(replace(pair, target=slim)),
        settings=settings.sample,
        min_support=settings.refine.min_support,
        seed=settings.seed,
        builder=builder.over(replace(pair, target=slim)),
        filer=TableBuilder(pair, name, coded=True, labelled=law is not None).over(replace(pair, target=slim)),
        schema=schema,
        law=law,
    )
    passes = Passes(Given(packed, form, shipped(work), settings, pair, counted, shipped, held, board))
    frame = passes.frame(frame_schema, chosen)
    receipts = (reading, laying, fitted.translation.receipt)
    return SparkGeneration(frame, name, pair, counted, layout, receipts, law, passes, work, held)


def _without_events(log: EventLog) -> EventLog:
    nothing = np.zeros(0, np.int32)

    def none_of(column: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
        return None if column is None else column[:0]

    return replace(
        log, user=nothing, item=nothing, time=none_of(log.time), label=none_of(log.label), value=none_of(log.value),
        weight=none_of(log.weight),
    )  # fmt: skip


def _checked_law(law: NegativeLaw | None) -> NegativeLaw | None:
    """Refuse negatives whose number per event is no whole number: which event gets one more depends on all others.

    Raises:
        ConfigError: If it is none.
    """
    if law is not None and law.rows != int(law.rows):
        raise ConfigError(
            f"the real log has {law.odds:g} negatives per positive, so synthetic events would get {law.rows:g} each",
            expected="on Spark a whole number of negative rows per synthetic event",
            fix=f"pass --negatives-per-positive {max(1, int(law.rows))}, or leave --engine spark out",
        )
    return law


@dataclass(frozen=True, slots=True)
class Written:
    """Synthetic events that Spark wrote.

    Attributes:
        rows: Rows, negative ones among them.
        item_coverage: Share of the target items (with a positive event) that the rows reach, in [0, 1].
        few: Rows with fewer other users behind them than each of `FEW_USERS`; negative ones have nobody to count.
        receipts: One per stage.
    """

    rows: int
    item_coverage: float
    few: tuple[int, ...]
    receipts: tuple[Receipt, ...]


def write_parts(made: SparkGeneration, folder: Path, day: dt.date | None) -> Written:
    """Let tasks write the events; each counts once, however often it was tried."""
    out = folder / "synthetic"
    with Stopwatch() as watch:
        filed = made.write(out) if day is None else write_day(made.write, out, day, made.frame.columns)
    coverage = filed.items / max(len(catalogue_of(made.pair.target)), 1)
    return Written(filed.rows, coverage, filed.few, made.stage_receipts(watch))
