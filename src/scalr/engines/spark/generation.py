"""Synthetic events from Spark frames, equal to those of the local engine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.engines.spark.cluster.broadcast import Broadcasts, BroadcastValue
from scalr.engines.spark.cluster.form import SourceForm
from scalr.engines.spark.cluster.layout import Layout, cut_source, lay_out_parts
from scalr.engines.spark.cluster.part import TargetSide
from scalr.engines.spark.cluster.session import checked, no_pandas_warning, require_spark
from scalr.engines.spark.cluster.types import spark_schema
from scalr.engines.spark.drawing.days import of_day, write_day
from scalr.engines.spark.drawing.passes import PassInputs, SparkPasses
from scalr.engines.spark.drawing.tasks import DrawContext
from scalr.engines.spark.drawing.writing import FileCounts
from scalr.engines.spark.fitting.counting import FitInputs, SourceCount, count_source, packed_parts
from scalr.engines.spark.fitting.fitting import check_translator, fit_on_spark, histories_of
from scalr.engines.spark.fitting.part_translation import FittedTranslation
from scalr.engines.spark.reading.logs import SparkLogs, paths_of, read_spark_logs
from scalr.foundation import Board, ConfigError, Receipt, SchemaError, SilentBoard, Stopwatch, TranslateSettings
from scalr.foundation import Steps as Settings
from scalr.logs import Columns, EventLog, LogRequest, SourceCounts, StoredPair, catalogue_of
from scalr.synthesis import (
    NegativeLaw,
    RealPairs,
    RowStep,
    TableBuilder,
    TargetHistories,
    check_columns,
    check_window,
    generation_name,
    negative_law,
    refining_stages,
)


@dataclass(frozen=True, slots=True, eq=False)
class SparkGeneration:
    """Synthetic events as a Spark frame, and how they came about.

    Events are drawn whenever the frame is used, unless it is cached; they are the same each time.

    Attributes:
        frame: The events: columns of the target log, then those of synthetic events.
        generation_id: 16 hexadecimal digits; equal to that of the local engine for equal logs, settings and seed.
        pair: The target log; its source has no events here.
        source: The source in numbers.
        layout: How the source was cut into parts.
        receipts: One per finished stage.
        law: The law of negative rows; None without negatives.
    """

    frame: Any
    generation_id: str
    pair: StoredPair
    source: SourceCount
    layout: Layout
    receipts: tuple[Receipt, ...]
    law: NegativeLaw | None
    _passes: SparkPasses
    _broadcasts: Broadcasts

    def table(self) -> pa.Table:
        """Return the events as an Arrow table on the driver, whose memory must hold them."""
        with no_pandas_warning():
            return self.frame.toArrow()

    def write(self, out: Path) -> FileCounts:
        """Let tasks write the events into a new folder, which they and the driver share; see `write_files`."""
        return self._passes.write(out)

    def negatives_of(self, rows: int) -> int:
        """Return the number of negative rows among `rows` rows."""
        return 0 if self.law is None else rows - rows // (1 + int(self.law.rows))

    def stage_receipts(self, watch: Stopwatch) -> tuple[Receipt, ...]:
        """Return the receipts of all stages, once the frame was written with one action.

        Args:
            watch: The time of that action, which Spark does not divide among the stages.
        """
        return (*self.receipts, *self._passes.receipts(self.source, watch))

    def release(self) -> None:
        """Free what Spark holds for the frame; the frame cannot be used afterwards."""
        self._broadcasts.release()


def generate_on_spark(
    source: Any, target: Any, *, items: Any = None, columns: Columns | None = None, steps: Settings | None = None,
    partitions: int | None = None, day: dt.date | None = None, board: Board | None = None, **reading: Any,
) -> SparkGeneration:  # fmt: skip
    """Turn source events in Spark into synthetic target events in Spark.

    The source is shuffled once, by item. The driver and every machine hold one copy of the target log, the item table
    and the fitted translation.

    Args:
        source: A Spark frame; or several, by domain name.
        target: A Spark frame, or a source of the local engine (a path, or a frame in memory).
        items: The item table, in the same forms.
        columns: Column names in all logs; common names are found without them.
        steps: Settings; of these `seed`, `translate`, `sample`, `refine` and `negatives` are used.
        partitions: Number of parts of the source; None to choose. The events do not depend on it.
        day: Draw for source events of this day (UTC) alone, None for all days; the translation is fitted on all events.
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
        logs = read_spark_logs(LogRequest(source, target, items, columns, **reading), settings)
    rows = logs.rows + len(logs.pair.target)
    reading_done = watch.receipt("read", rows, rows)
    return generate_from_logs(logs, settings, session, reading_done, partitions=partitions, day=day, board=board)


def generate_from_logs(
    logs: SparkLogs, settings: Settings, session: Any, reading: Receipt, *, partitions: int | None,
    day: dt.date | None, board: Board,
) -> SparkGeneration:  # fmt: skip
    """Do what `generate_on_spark` does for logs that were read: lay out, fit, decide, and describe the drawing."""
    check_columns(logs.pair)
    paths = paths_of(settings.translate)
    if paths is not None:
        check_window(paths, timed="time" in logs.form.roles and logs.pair.target.time is not None)
    first = () if day is None else (RowStep("sample", of_day(day, logs.form.time_unit)),)
    broadcasts = Broadcasts(session.sparkContext)
    source = _lay_out(logs, settings.translate, broadcasts, partitions, board)
    pair = replace(logs.pair, source_counts=source.source_counts, warnings=logs.target.warnings)
    board.stage("fitting the translation")
    fitted = fit_on_spark(
        FitInputs(
            pair, source.histories, settings.translate, source.packed, source.sent_side, logs.target.categories,
            source.counted, broadcasts,
        )
    )  # fmt: skip
    name, law = generation_name(pair, settings), _checked_law(negative_law(pair, settings))
    context, frame_schema = _draw_context(logs.form, source, pair, settings, fitted, law)
    stages = refining_stages(settings.refine, source.side.real, settings.seed)
    passes = SparkPasses(PassInputs(source.packed, context, stages, pair, source.counted, broadcasts, board), first)
    receipts = (reading, source.receipt, fitted.translation.receipt)
    frame = passes.frame(frame_schema)
    return SparkGeneration(frame, name, pair, source.counted, source.layout, receipts, law, passes, broadcasts)


@dataclass(frozen=True, slots=True, eq=False)
class _LaidOut:
    """The source in parts.

    Attributes:
        packed: The parts.
        layout: How the source was cut.
        counted: The source in numbers.
        histories: Items of target users.
        side: The target side of the parts.
        sent_side: The same, broadcast.
        receipt: The receipt of laying out.
    """

    packed: Any
    layout: Layout
    counted: SourceCount
    histories: TargetHistories
    side: TargetSide
    sent_side: BroadcastValue[TargetSide]
    receipt: Receipt

    @property
    def source_counts(self) -> SourceCounts:
        """Return the counts of a source whose users and items stay in Spark."""
        nothing = np.zeros(0, np.int64)
        return SourceCounts(nothing, nothing, nothing, (), self.counted.whole_weights, self.counted.digest)


def _lay_out(
    logs: SparkLogs, settings: TranslateSettings, broadcasts: Broadcasts, partitions: int | None, board: Board
) -> _LaidOut:
    """Shuffle the source by item into parts, and count it.

    Raises:
        SchemaError: If no user has positive events in both domains.
    """
    target, paths, form = logs.pair.target, paths_of(settings), logs.form
    histories = histories_of(logs.pair, settings)
    side = TargetSide(_without_events(target), RealPairs.from_log(target), logs.pair.items)
    with Stopwatch() as watch:
        board.stage("laying the source out by item")
        has_targets = np.diff(histories.start) > 0
        n_path_users = 0 if paths is None else int(has_targets.sum())
        layout = cut_source(logs.events, logs.rows, n_path_users, partitions=partitions)
        path_users = broadcasts.send((target.users, np.zeros(0, np.bool_) if paths is None else has_targets))
        windowed = paths is not None and paths.window_days is not None
        laid = lay_out_parts(logs.events, form, layout, path_users, windowed=windowed)
        sent_side = broadcasts.send(side)
        packed = broadcasts.persist(packed_parts(laid, form, sent_side, broadcasts.send(histories.start)))
        counted = count_source(packed)
    if not counted.known_positives:
        raise SchemaError(
            "no user has positive events in both domains",
            expected="users that are active in the source and in the target",
            fix="use the same user ids in all logs, and check the columns with --user",
        )
    facts = {"parts": layout.parts, "split_items": len(layout.hot), "largest_part": counted.largest_part}
    receipt = watch.receipt("lay_out", logs.rows, counted.events, **facts)
    return _LaidOut(packed, layout, counted, histories, side, sent_side, receipt)


def _draw_context(
    form: SourceForm, source: _LaidOut, pair: StoredPair, settings: Settings, fitted: FittedTranslation,
    law: NegativeLaw | None,
) -> tuple[DrawContext, Any]:  # fmt: skip
    """Return all that drawing needs, without events, and the types of the frame of events."""
    name, slim = generation_name(pair, settings), replace(pair, target=source.side.target)
    builder = TableBuilder(pair, name, labelled=law is not None)
    schema, frame_schema = spark_schema(builder.schema)
    context = DrawContext(
        form=form,
        side=source.side.with_weights(source.counted.whole_weights),
        fitted=fitted.over(slim),
        settings=settings.sample,
        min_support=settings.refine.min_support,
        seed=settings.seed,
        builder=builder.over(slim),
        filer=TableBuilder(pair, name, coded=True, labelled=law is not None).over(slim),
        schema=schema,
        law=law,
    )
    return context, frame_schema


def _without_events(log: EventLog) -> EventLog:
    nothing = np.zeros(0, np.int32)

    def none_of(column: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
        return None if column is None else column[:0]

    return replace(
        log, user=nothing, item=nothing, time=none_of(log.time), label=none_of(log.label), value=none_of(log.value),
        weight=none_of(log.weight),
    )  # fmt: skip


def _checked_law(law: NegativeLaw | None) -> NegativeLaw | None:
    """Return a law of negatives; their number per event must be whole, or it would depend on all other events.

    Raises:
        ConfigError: If the number per event is not whole.
    """
    if law is not None and law.rows != int(law.rows):
        raise ConfigError(
            f"the real log has {law.odds:g} negatives per positive, so synthetic events would get {law.rows:g} each",
            expected="on Spark a whole number of negative rows per synthetic event",
            fix=f"pass --negatives-per-positive {max(1, int(law.rows))}, or omit --engine spark",
        )
    return law


@dataclass(frozen=True, slots=True)
class SparkOutput:
    """Synthetic events that Spark wrote.

    Attributes:
        rows: Rows, negative rows included.
        item_coverage: Share of the target items (with a positive event) that the rows reach, in [0, 1].
        few: Rows with fewer other users behind them than each of `FEW_USERS`; without negative rows.
        receipts: One per stage.
    """

    rows: int
    item_coverage: float
    few: tuple[int, ...]
    receipts: tuple[Receipt, ...]


def write_parts(generation: SparkGeneration, folder: Path, day: dt.date | None) -> SparkOutput:
    """Let tasks write the events into `folder`; repeated attempts of a task count once."""
    out = folder / "synthetic"
    with Stopwatch() as watch:
        if day is None:
            counts = generation.write(out)
        else:
            counts = write_day(generation.write, out, day, generation.frame.columns)
    coverage = counts.items / max(len(catalogue_of(generation.pair.target)), 1)
    return SparkOutput(counts.rows, coverage, counts.few, generation.stage_receipts(watch))
