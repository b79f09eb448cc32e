"""Walk the refining stages in Spark: the passes over all draws that they need, and the frame of events at the end.

The twin of the local engine is `scalr.engines.local.passes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from scalr.engines.spark.cluster.broadcast import Broadcasts
from scalr.engines.spark.cluster.layout import in_arrow
from scalr.engines.spark.cluster.types import spark_schema
from scalr.engines.spark.drawing import tasks
from scalr.engines.spark.drawing.rows import CompareRows, compared_rows, rows_schema
from scalr.engines.spark.drawing.tasks import DrawContext, PartCounts, RowSteps
from scalr.engines.spark.drawing.writing import FileCounts, write_files
from scalr.engines.spark.fitting.counting import SourceCount
from scalr.foundation import Board, Floats, Receipt, Stopwatch
from scalr.logs import StoredPair
from scalr.synthesis import FUSED, Align, Buckets, Count, GroupRule, Masses, RefiningStage, RowStep

_CELLS = "part int, cells binary"


@dataclass(frozen=True, slots=True, eq=False)
class PassInputs:
    """Inputs that all passes share.

    Attributes:
        packed: The parts.
        context: All that drawing needs; a copy is broadcast.
        stages: The refining stages.
        pair: The target log; its source has no events.
        counted: The source in numbers.
        broadcasts: Hands values to tasks, and owns what is to be freed with the frame.
        board: Where stages are shown.
    """

    packed: Any
    context: DrawContext
    stages: Sequence[RefiningStage]
    pair: StoredPair
    counted: SourceCount
    broadcasts: Broadcasts
    board: Board


class SparkPasses:
    """The passes over all draws, carried out as far as the frame of events needs them.

    Rules that look at rows one by one wait in `_pending` until the next pass, which applies them all in one task.

    Args:
        inputs: Inputs of the passes.
        first: Steps that come before all stages, such as one that keeps a single day.
    """

    def __init__(self, inputs: PassInputs, first: Sequence[RowStep] = ()) -> None:
        self._inputs = inputs
        self._context = inputs.broadcasts.send(inputs.context)
        self._rows: Any = None
        self._pending = RowSteps(tuple(first))
        self._counts: list[Any] = []
        self._buckets: Buckets | None = None
        self._before: Floats | None = None
        self._seconds: dict[str, Stopwatch] = {}
        for stage in inputs.stages:
            for rule in stage.rules:
                if isinstance(rule, Align):
                    self._align(stage.name, rule)
                elif isinstance(rule, GroupRule):
                    self._compare(stage.name, rule)
                elif not isinstance(rule, FUSED):
                    self._add(RowStep(stage.name, rule))
        self._last = self._emit()

    def frame(self, schema: Any) -> Any:
        """Return the frame of events with the columns of `schema`."""
        return in_arrow(*self._last, schema)

    def write(self, out: Path) -> FileCounts:
        """Let tasks write the events; see `write_files`."""
        return write_files(*self._last, self._context, self._inputs.context, out)

    def receipts(self, source: SourceCount, watch: Stopwatch) -> list[Receipt]:
        """Return the receipts of the stages from drawing on, once the events were written.

        Args:
            source: The source in numbers.
            watch: The time of writing, which Spark does not divide among the stages.
        """
        parts = [counts for accumulator in self._counts for counts in accumulator.value.values()]
        total = reduce(add, parts, PartCounts(Count()))
        rows, receipts = source.positives, []
        for stage in (RefiningStage("sample", ()), *self._inputs.stages):
            left = total.count.rows.get(stage.name, 0 if stage.name in ("sample", "drop_real", "filter") else rows)
            timed = self._seconds.get(stage.name)
            wall, cpu = (0.0, 0.0) if timed is None else (timed.wall_seconds, timed.cpu_seconds)
            details = self._align_details(total.cells) if stage.name == "align" else stage.details
            receipts.append(Receipt(stage.name, rows, left, wall, cpu, details))
            rows = left
        return [*receipts, watch.receipt("emit", rows, rows, layout="target")]

    def _align_details(self, after: Floats | None) -> dict[str, Any]:
        assert self._buckets is not None
        marginals = []
        if self._before is not None and after is not None:
            marginals = self._buckets.variations(self._before, after)
        return {"marginals": marginals, "passed_over": list(self._buckets.passed_over)}

    def _add(self, step: RowStep, weighed: Buckets | None = None) -> None:
        """Add a step for the next pass; with buckets in which it weighs what is left."""
        pending = self._pending
        self._pending = replace(pending, steps=(*pending.steps, step), weighed=weighed or pending.weighed)

    def _counter(self) -> Any:
        """Return a new accumulator of counts by part."""
        counter = self._inputs.packed.sparkSession.sparkContext.accumulator({}, tasks.ByPartNumber())
        self._counts.append(counter)
        return counter

    def _align(self, stage: str, rule: Align) -> None:
        """Weigh the rows in one pass, and add the step of the alignment that follows from it."""
        self._buckets = buckets = rule.buckets(self._inputs.pair)
        if not buckets.marginals:
            return
        self._inputs.board.stage("weighing draws for alignment")
        slim = tasks.without_real(buckets)
        steps = self._inputs.broadcasts.send(replace(self._pending, weighed=slim))
        with Stopwatch() as watch:
            if self._rows is None:
                cells = in_arrow(self._inputs.packed, tasks.DrawMasses(self._context, steps), _CELLS).collect()
            else:
                self._rows = self._inputs.broadcasts.persist(self._rows)
                cells = in_arrow(self._rows, tasks.WeighRows(self._inputs.context.form, steps), _CELLS).collect()
        self._seconds[stage] = watch
        ordered = (np.frombuffer(row["cells"]) for row in sorted(cells, key=lambda row: row["part"]))
        self._before = reduce(add, ordered, np.zeros(int(np.prod(buckets.shape))))
        decided = rule.decide(buckets, Masses(np.zeros(0), np.zeros(0), self._before))
        self._add(RowStep(stage, replace(decided, buckets=slim)), weighed=slim)

    def _compare(self, stage: str, rule: GroupRule) -> None:
        """Shuffle the rows by group and keep those that a rule picks."""
        form, settings = self._inputs.context.form, self._inputs.context.settings
        if self._rows is None or self._pending.steps or self._pending.after != stage:
            self._rows = self._rows_of_pass(CompareRows(form, rule) if rule.may_preselect else None)
        n_rows = self._inputs.counted.positives * settings.draws_per_event
        self._rows = compared_rows(self._rows, form, rule, n_rows)
        self._pending = RowSteps(after=stage)

    def _rows_of_pass(self, preselect: CompareRows | None) -> Any:
        """Return intermediate rows: new draws, or earlier rows, that the pending steps leave."""
        form, steps = self._inputs.context.form, self._inputs.broadcasts.send(self._pending)
        schema = spark_schema(rows_schema(form))[1]
        if self._rows is None:
            draw = tasks.DrawRows(self._context, steps, self._counter(), preselect)
            return in_arrow(self._inputs.packed, draw, schema)
        return in_arrow(self._rows, tasks.NarrowRows(form, steps, self._counter(), preselect), schema)

    def _emit(self) -> tuple[Any, tasks.DrawTables | tasks.EmitRows]:
        """Return the last pass: what it works on, and the task that makes events of it."""
        steps = self._inputs.broadcasts.send(self._pending)
        if self._rows is None:
            return self._inputs.packed, tasks.DrawTables(self._context, steps, self._counter())
        return self._rows, tasks.EmitRows(self._context, steps, self._counter())
