"""The passes over all draws that the settings ask for: duplicates, alignment, caps; and the frame at their end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scalr.engines.spark.cluster.broadcast import Shipped
from scalr.engines.spark.cluster.form import SourceForm
from scalr.engines.spark.cluster.layout import in_arrow
from scalr.engines.spark.cluster.types import spark_schema
from scalr.engines.spark.drawing import tasks as drawing
from scalr.engines.spark.drawing.rows import MostConfident, best_rows, capped_rows, rows_schema
from scalr.engines.spark.drawing.tasks import ByPart, Steps, Work
from scalr.engines.spark.drawing.writing import Filed, write_files
from scalr.engines.spark.fitting.counting import SourceCount
from scalr.foundation import Board, Receipt, Stopwatch
from scalr.foundation import Steps as Settings
from scalr.logs import StoredPair
from scalr.synthesis import Buckets, ConfidenceFilter, Count, Masses, Step, alignment, buckets_of

_CELLS = "part int, cells binary"


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What passes work on.

    Attributes:
        packed: The parts.
        form: What columns of events mean.
        work: What drawing takes.
        settings: Of these `seed`, `sample` and `refine` are used.
        pair: The target log, its source without events.
        counted: The source in numbers.
        ship: Hands a value to Spark.
        held: What is to be freed once the frame is not used any more.
        board: Where stages are shown.
    """

    packed: Any
    form: SourceForm
    work: Shipped[Work]
    settings: Settings
    pair: StoredPair
    counted: SourceCount
    ship: Callable[[Any], Shipped[Any]]
    held: list[Any]
    board: Board


class Passes:
    """The passes over all draws, done as far as they must be before the frame of events can be used."""

    def __init__(self, given: Given) -> None:
        self._given = given
        self._told: dict[str, Any] = {}
        self._buckets: Buckets | None = None
        self._before: npt.NDArray[np.float64] | None = None
        self._seconds: dict[str, Stopwatch] = {}
        self._last: tuple[Any, drawing.DrawTables | drawing.EmitRows]

    def frame(self, schema: Any, day: Step | None) -> Any:
        """Return the frame of events; passes that must be done before it are done.

        Args:
            schema: Its columns.
            day: Leaves the draws of one day; None for all.
        """
        refining, form = self._given.settings.refine, self._given.form
        n_rows = self._given.counted.positives * self._given.settings.sample.draws_per_event
        rows_type = spark_schema(rows_schema(form))[1]
        first = () if day is None else (day,)
        steps = Steps((*first, *((ConfidenceFilter(refining.min_confidence),) if refining.min_confidence > 0 else ())))
        rows = None
        if refining.duplicates != "keep":
            drawn = in_arrow(
                self._given.packed,
                drawing.DrawRows(self._given.work, self._given.ship(steps), self._by("draw")),
                rows_type,
            )
            rows = best_rows(drawn, form, n_rows, merge=refining.duplicates == "merge")
            steps = Steps()
            if refining.align is not None:
                rows = rows.persist()
                self._given.held.append(rows)
        if refining.align is not None:
            steps = self._aligned(steps, rows)
        caps = [
            MostConfident(form, group, limit, self._given.settings.seed)
            for group, limit in (("user", refining.max_per_user), ("item", refining.max_per_item))
            if limit is not None
        ]
        if caps:
            shipped = self._given.ship(steps)
            work = (
                drawing.DrawRows(self._given.work, shipped, self._by("draw"), caps[0])
                if rows is None
                else drawing.AlignRows(form, shipped, self._by("align"), caps[0])
            )
            rows = in_arrow(self._given.packed if rows is None else rows, work, rows_type)
            for one in caps:
                rows = capped_rows(rows, one, n_rows)
            steps = Steps()
        shipped = self._given.ship(steps)
        if rows is None:
            self._last = self._given.packed, drawing.DrawTables(self._given.work, shipped, self._by("draw"))
        else:
            self._last = rows, drawing.EmitRows(self._given.work, shipped, self._by("emit"))
        return in_arrow(self._last[0], self._last[1], schema)

    def write(self, work: Work, out: Path) -> Filed:
        """Let tasks write the events of `frame`; see `write_files`."""
        return write_files(*self._last, self._given.work, work, out)

    def _by(self, name: str) -> Any:
        self._told[name] = self._given.packed.sparkSession.sparkContext.accumulator({}, ByPart())
        return self._told[name]

    def _aligned(self, steps: Steps, rows: Any) -> Steps:
        """Return the steps with alignment, after the pass that it takes."""
        settings = self._given.settings.refine.align
        assert settings is not None
        self._buckets = buckets = buckets_of(self._given.pair, settings)
        if not buckets.marginals:
            return steps
        self._given.board.stage("weighing draws for alignment")
        few = drawing.slim(buckets)
        weighing = self._given.ship(replace(steps, weighed=few))
        with Stopwatch() as watch:
            if rows is None:
                told = in_arrow(self._given.packed, drawing.DrawMasses(self._given.work, weighing), _CELLS).collect()
            else:
                told = in_arrow(rows, drawing.WeighRows(self._given.form, weighing), _CELLS).collect()
        self._seconds["align"] = watch
        ordered = sorted(told, key=lambda row: row["part"])
        cells = reduce(add, (np.frombuffer(row["cells"]) for row in ordered), np.zeros(int(np.prod(buckets.shape))))
        self._before = cells
        masses = Masses(np.zeros(0), np.zeros(0), cells)
        plan = alignment(buckets, masses, settings.keep_share, self._given.settings.seed)
        if rows is None:
            return Steps((*steps.of_draws, drawing.aligned_by(plan)), weighed=few)
        return Steps(plan=drawing.slim_plan(plan), weighed=few)

    def receipts(self, source: SourceCount, watch: Stopwatch) -> list[Receipt]:
        """Return the receipts of the stages from drawing on."""
        told = {
            name: reduce(joined_told, one.value.values(), drawing.Told(Count())) for name, one in self._told.items()
        }
        drawn = told["draw"].count
        rows, receipts = source.positives, []
        later = told.get("align") or told.get("emit")
        refining = self._given.settings.refine
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
            marginals = self._buckets.variations(self._before, after)
        return {"marginals": marginals, "passed_over": list(self._buckets.passed_over)}


def joined_told(one: drawing.Told, other: drawing.Told) -> drawing.Told:
    """Return what two parts tell together."""
    count = Count()
    count.join(one.count)
    count.join(other.count)
    cells = [told.cells for told in (one, other) if told.cells is not None]
    return drawing.Told(count, reduce(add, cells) if cells else None)
