"""Synthetic events from Spark frames, the same as the local engine's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr import emit
from scalr.align import Alignment, Buckets, Masses, alignment, buckets_of
from scalr.config import Steps as Settings
from scalr.domain import EventLog, Vocabulary
from scalr.errors import ConfigError, SchemaError
from scalr.generation import generation_name, negative_law
from scalr.metrics.fidelity import total_variation
from scalr.progress import Board, SilentBoard
from scalr.receipt import Receipt, Stopwatch
from scalr.schema import Columns
from scalr.spark import drawing
from scalr.spark.counting import SourceCount, count_source
from scalr.spark.drawing import ByPart, Steps, Work
from scalr.spark.fitting import check_translator, fit_on_spark, histories_of
from scalr.spark.part import TargetSide
from scalr.spark.parts import Layout, cut, in_arrow, lay_out
from scalr.spark.restrict import Fitted
from scalr.spark.rows import MostConfident, best_rows, capped_rows, rows_schema
from scalr.spark.session import checked, require_spark
from scalr.spark.ship import Shipped, ship
from scalr.spark.source import LookedAt, SourceForm, in_one_form, look_at
from scalr.spark.target import ReadTarget, read_target
from scalr.spark.types import spark_schema
from scalr.store import StoredLog, StoredPair
from scalr.stream import ConfidenceFilter, RealPairs
from scalr.tally import SourceTally
from scalr.translators.cooccurrence import TargetHistories, check_window

_CELLS = "part int, cells binary"


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
    """

    frame: Any
    generation_id: str
    pair: StoredPair
    source: SourceCount
    layout: Layout
    receipts: tuple[Receipt, ...]
    _passes: _Passes
    _held: list[Any] = field(default_factory=list)

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


@dataclass(frozen=True, slots=True, eq=False)
class SparkLogs:
    """Logs that were looked at: the source as a frame, the target read.

    Attributes:
        events: Source events in one form.
        form: What its columns mean.
        sources: The source logs.
        target: The target log and the item table.
        pair: The target log with a source that has no events.
    """

    events: Any
    form: SourceForm
    sources: tuple[LookedAt, ...]
    target: ReadTarget
    pair: StoredPair

    @property
    def rows(self) -> int:
        """Return the number of source events."""
        return sum(one.kept for one in self.sources)

    @property
    def inputs(self) -> tuple[Mapping[str, Any], ...]:
        """Return what the manifest says of the inputs."""
        sources = [
            {"role": "source", "name": one.name, "files": sorted(one.frame.inputFiles()), "rows": one.rows}
            for one in self.sources
        ]
        return (*sources, *self.target.entries)


def look(
    source: Any, target: Any, settings: Settings, *, items: Any = None, columns: Columns | None = None,
    source_columns: Columns | Mapping[str, Columns] | None = None, target_columns: Columns | None = None,
    time_unit: str | None = None, ids: str = "auto", drop_nulls: bool = False,
) -> SparkLogs:  # fmt: skip
    """Look at the source frames, in one scan each, and read the target log; see `scalr.read_pair`."""
    sources = dict(sorted(source.items())) if isinstance(source, Mapping) else {"source": source}
    if not sources or "target" in sources or not all(sources):
        found = ", ".join(repr(name) for name in sources) or "no source"
        raise SchemaError(
            f"the source domains are named {found}",
            expected="one or more names, none of them 'target'",
            fix="rename the sources",
        )
    general = columns or Columns()
    special = source_columns if isinstance(source_columns, Mapping) else dict.fromkeys(sources, source_columns)
    looked = [
        look_at(frame, name, general, special.get(name) or Columns(), time_unit=time_unit, drop_nulls=drop_nulls)
        for name, frame in sources.items()
    ]
    categories = settings.translate.translator == "cooccurrence" and settings.translate.backoff > 0
    read = read_target(
        target, items, looked, general, target_columns or Columns(), time_unit=time_unit, as_text=ids == "string",
        drop_nulls=drop_nulls, item_columns=settings.negatives.kind != "none", categories=categories,
    )  # fmt: skip
    events, form = in_one_form(looked, as_text=ids == "string")
    return SparkLogs(events, form, tuple(looked), read, _pair_of(read, form))


def _pair_of(read: ReadTarget, form: SourceForm) -> StoredPair:
    no_ids = pa.array([], pa.string() if form.text_items else pa.int64())
    nobody = Vocabulary(no_ids, np.zeros(0, np.uint64), np.zeros(0, np.int16), form.domains)
    nothing = np.zeros(0, np.int64)
    log = StoredLog(
        form.name, read.log.users, nobody, np.zeros(1, np.int64), np.zeros(0, np.int32),
        time=nothing if "time" in form.roles else None, columns=form.columns, time_unit=form.time_unit,
        schema=form.schema,
    )  # fmt: skip
    tally = SourceTally(nothing, nothing, nothing, (), True, 0)
    return StoredPair(log, read.log, tally, items=read.items, inputs=read.entries, warnings=read.warnings)


def generate_on_spark(
    source: Any, target: Any, *, items: Any = None, columns: Columns | None = None, steps: Settings | None = None,
    partitions: int | None = None, board: Board | None = None, **reading: Any,
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
        logs = look(source, target, settings, items=items, columns=columns, **reading)
        emit.check_columns(logs.pair)
        check_window(settings.translate, timed="time" in logs.form.roles and logs.pair.target.time is not None)
    rows = logs.rows + len(logs.pair.target)
    return generate_from_logs(logs, settings, session, watch.receipt("read", rows, rows), partitions, board)


def generate_from_logs(
    logs: SparkLogs, settings: Settings, session: Any, reading: Receipt, partitions: int | None, board: Board
) -> SparkGeneration:
    """Do what `generate_on_spark` does for logs that were looked at."""
    held: list[Any] = []

    def shipped(value: Any) -> Shipped[Any]:
        held.append(ship(session.sparkContext, value))
        return held[-1]

    pair, form, target = logs.pair, logs.form, logs.pair.target
    histories = histories_of(pair, settings.translate)
    slim = _without_events(target)
    start = np.zeros(len(target.users) + 1, np.int64)
    np.cumsum(np.bincount(target.user, minlength=len(target.users)), out=start[1:])
    side = TargetSide(slim, RealPairs(start, target.item), pair.items)
    with Stopwatch() as watch:
        board.stage("laying the source out by item")
        testifies = np.diff(histories.start) > 0
        needs_paths = settings.translate.translator == "cooccurrence"
        layout = cut(logs.events, logs.rows, int(testifies.sum()) if needs_paths else 0, partitions=partitions)
        users = shipped((target.users, testifies if needs_paths else np.zeros(0, np.bool_)))
        laid = lay_out(
            logs.events, form, layout, users, windowed=settings.translate.window_days is not None
        ).persist()
        held.append(laid)
        given = shipped(side)
        counted = count_source(laid, form, given, shipped(histories.start))
    if not counted.known_positives:
        raise SchemaError(
            "no user has positive events in both domains",
            expected="users that are active in the source and in the target",
            fix="use the same user ids in all logs, and check the columns with --user",
        )
    laying = watch.receipt("lay_out", logs.rows, counted.events, parts=layout.parts, split_items=len(layout.hot))
    board.stage("fitting the translation")
    nothing = np.zeros(0, np.int64)
    tally = SourceTally(nothing, nothing, nothing, (), counted.whole_weights, counted.digest)
    pair = replace(pair, tally=tally, warnings=logs.target.warnings)
    fitted = fit_on_spark(
        pair, histories, settings.translate, laid, form, given, logs.target.categories, counted, shipped
    )
    name = generation_name(pair, settings)
    law = _checked_law(negative_law(pair, settings))
    builder = emit.TableBuilder(pair, name, labelled=law is not None)
    schema, frame_schema = spark_schema(builder.schema)
    work = Work(
        form=form,
        side=side.with_weights(counted.whole_weights),
        fitted=_slim_fit(fitted, replace(pair, target=slim)),
        settings=settings.sample,
        min_support=settings.refine.min_support,
        seed=settings.seed,
        builder=builder.over(replace(pair, target=slim)),
        schema=schema,
        law=law,
    )
    passes = _Passes(laid, shipped(work), work, settings, pair, counted, shipped, held, session, board)
    frame = passes.frame(frame_schema)
    receipts = (reading, laying, fitted.translation.receipt)
    return SparkGeneration(frame, name, pair, counted, layout, receipts, passes, held)


def _without_events(log: EventLog) -> EventLog:
    nothing = np.zeros(0, np.int32)

    def none_of(column: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
        return None if column is None else column[:0]

    return replace(
        log, user=nothing, item=nothing, time=none_of(log.time), label=none_of(log.label), value=none_of(log.value),
        weight=none_of(log.weight),
    )  # fmt: skip


def _slim_fit(fitted: Fitted, pair: StoredPair) -> Fitted:
    translation: Any = fitted.translation
    return replace(fitted, translation=replace(translation, pair=pair))


def _checked_law(law: Any) -> Any:
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


class _Passes:
    """The passes over all draws that the settings ask for, and the frame at their end."""

    def __init__(
        self, laid: Any, work: Shipped[Work], plain: Work, settings: Settings, pair: StoredPair, counted: SourceCount,
        shipped: Any, held: list[Any], session: Any, board: Board,
    ) -> None:  # fmt: skip
        self._laid, self._work, self._form = laid, work, plain.form
        self._settings, self._pair, self._counted = settings, pair, counted
        self._shipped, self._held, self._board = shipped, held, board
        self._context = session.sparkContext
        self._told: dict[str, Any] = {}
        self._buckets: Buckets | None = None
        self._before: npt.NDArray[np.float64] | None = None
        self._seconds: dict[str, Stopwatch] = {}

    def frame(self, schema: Any) -> Any:
        """Return the frame of events; passes that must be done before it are done."""
        refining, form = self._settings.refine, self._form
        n_rows = self._counted.positives * self._settings.sample.draws_per_event
        rows_type = spark_schema(rows_schema(form))[1]
        steps = Steps((ConfidenceFilter(refining.min_confidence),) if refining.min_confidence > 0 else ())
        rows = None
        if refining.duplicates != "keep":
            drawn = in_arrow(self._laid, drawing.DrawRows(self._work, self._shipped(steps), self._by("draw")), rows_type)
            rows = best_rows(drawn, form, n_rows, merge=refining.duplicates == "merge")
            steps = Steps()
            if refining.align is not None:
                rows = rows.persist()
                self._held.append(rows)
        if refining.align is not None:
            steps = self._aligned(steps, rows)
        caps = [
            MostConfident(form, group, limit, self._settings.seed)
            for group, limit in (("user", refining.max_per_user), ("item", refining.max_per_item))
            if limit is not None
        ]
        if caps:
            shipped = self._shipped(steps)
            work = (
                drawing.DrawRows(self._work, shipped, self._by("draw"), caps[0])
                if rows is None
                else drawing.AlignRows(form, shipped, self._by("align"), caps[0])
            )
            rows = in_arrow(self._laid if rows is None else rows, work, rows_type)
            for one in caps:
                rows = capped_rows(rows, one, n_rows)
            steps = Steps()
        shipped = self._shipped(steps)
        if rows is None:
            return in_arrow(self._laid, drawing.DrawTables(self._work, shipped, self._by("draw")), schema)
        return in_arrow(rows, drawing.EmitRows(self._work, shipped, self._by("emit")), schema)

    def _by(self, name: str) -> Any:
        self._told[name] = self._context.accumulator({}, ByPart())
        return self._told[name]

    def _aligned(self, steps: Steps, rows: Any) -> Steps:
        """Return the steps with alignment, after the pass that it takes."""
        settings = self._settings.refine.align
        assert settings is not None
        self._buckets = buckets = buckets_of(self._pair, settings)
        if not buckets.marginals:
            return steps
        self._board.stage("weighing draws for alignment")
        few = drawing.slim(buckets)
        weighing = self._shipped(replace(steps, weighed=few))
        with Stopwatch() as watch:
            if rows is None:
                told = in_arrow(self._laid, drawing.DrawMasses(self._work, weighing), _CELLS).collect()
            else:
                told = in_arrow(rows, drawing.WeighRows(self._form, weighing), _CELLS).collect()
        self._seconds["align"] = watch
        ordered = sorted(told, key=lambda row: row["part"])
        cells = reduce(add, (np.frombuffer(row["cells"]) for row in ordered), np.zeros(int(np.prod(buckets.shape))))
        self._before = cells
        masses = Masses(np.zeros(0), np.zeros(0), cells)
        plan = alignment(buckets, masses, settings.keep_share, self._settings.seed)
        if rows is None:
            return Steps((*steps.of_draws, drawing.aligned_by(plan)), weighed=few)
        return Steps(plan=_of(plan), weighed=few)

    def receipts(self, source: SourceCount, watch: Stopwatch) -> list[Receipt]:
        """Return the receipts of the stages from drawing on."""
        told = {name: reduce(_joined, one.value.values(), drawing.Told(drawing.Count())) for name, one in self._told.items()}
        drawn = told["draw"].count
        rows, receipts = source.positives, []
        later = told.get("align") or told.get("emit")
        refining = self._settings.refine
        is_by_rows = refining.duplicates != "keep"
        left = {stage: drawn.rows.get(stage, 0) for stage in ("sample", "drop_real", "filter")}
        left["deduplicate"] = later.count.rows.get("in", 0) if is_by_rows and later is not None else left["filter"]
        if self._buckets is not None:
            by_rows = later.count.rows.get("out", 0) if is_by_rows and later is not None else 0
            left["align"] = by_rows if is_by_rows else drawn.rows.get("align", left["filter"])
        before_cap = left.get("align", left["deduplicate"])
        has_caps = refining.max_per_user is not None or refining.max_per_item is not None
        left["cap"] = told["emit"].count.rows.get("out", 0) if has_caps else before_cap
        details: dict[str, Any] = {"deduplicate": {"policy": refining.duplicates}}
        if self._buckets is not None:
            source_of = told["draw"] if not is_by_rows else later
            details["align"] = self._align_details(None if source_of is None else source_of.cells)
        for stage, n in left.items():
            seconds = self._seconds.get(stage)
            wall, cpu = (0.0, 0.0) if seconds is None else (seconds.wall_seconds, seconds.cpu_seconds)
            receipts.append(Receipt(stage, rows, n, wall, cpu, details.get(stage, {})))
            rows = n
        return [*receipts, watch.receipt("emit", rows, rows, layout="target")]

    def _align_details(self, after: Any) -> dict[str, Any]:
        assert self._buckets is not None
        marginals = []
        if self._before is not None and after is not None:
            for axis, one in enumerate(self._buckets.marginals):
                real = one.real_shares()
                facts: dict[str, Any] = {"by": one.by, "edges": one.edges.tolist(), "real": real.tolist()}
                for name, cells in (("before", self._before), ("after", after)):
                    others = tuple(a for a in range(len(self._buckets.shape)) if a != axis)
                    shares = cells.reshape(self._buckets.shape).sum(axis=others) / (cells.sum() or 1.0)
                    facts[name] = shares.tolist()
                    facts[f"total_variation_{name}"] = total_variation(real, shares) if cells.any() else None
                marginals.append(facts)
        return {"marginals": marginals, "passed_over": list(self._buckets.passed_over)}


def _of(plan: Alignment) -> Alignment:
    return drawing.slim_plan(plan)


def _joined(one: drawing.Told, other: drawing.Told) -> drawing.Told:
    count = drawing.Count()
    count.join(one.count)
    count.join(other.count)
    cells = [told.cells for told in (one, other) if told.cells is not None]
    return drawing.Told(count, reduce(add, cells) if cells else None)


__all__ = ["SparkGeneration", "SparkLogs", "TargetHistories", "generate_from_logs", "generate_on_spark", "look"]
