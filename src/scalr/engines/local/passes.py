"""Decide the refining stages of a stream that need all draws: duplicates, alignment, caps.

The twin for Spark is `scalr.engines.spark.drawing.passes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from itertools import pairwise
from operator import add
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from scalr.foundation import Board, Checkpoints, Int64, Singles, Stopwatch
from scalr.synthesis import (
    FUSED,
    Align,
    Buckets,
    Count,
    GroupRule,
    Masses,
    Part,
    PartStep,
    PickedStep,
    RefiningStage,
    Rows,
    RowStep,
    Stream,
    joined,
    no_rows,
    set_bits,
)

Result = TypeVar("Result")
COMPARED_ROWS = 1 << 23  # rows compared at a time, about, where memory allows; 1.6 GB with what sorting takes


class LocalPasses:
    """The steps of a stream, decided one after another; every pass draws with the steps decided so far.

    Args:
        stream: The draws.
        stages: The refining stages; the rules of `FUSED` are left to the stream.
        board: Where progress is shown.
        n_events: Source events that are drawn for.
        compared_rows: Rows that are compared at a time, about; `COMPARED_ROWS` if None. Any number gives
            the same result.
        pieces: Finished passes of an earlier run, and where to keep those that finish.

    Attributes:
        stages: The refining stages.
        steps: What narrows the rows, in order.
        seconds: Wall and processor time of the passes of each stage.
        buckets: Buckets that rows are aligned by; None without alignment.
    """

    def __init__(
        self,
        stream: Stream,
        stages: Sequence[RefiningStage],
        board: Board,
        n_events: int,
        compared_rows: int | None = None,
        pieces: Checkpoints | None = None,
    ) -> None:
        self._stream, self._board, self._n_events, self._pieces = stream, board, n_events, pieces or Checkpoints()
        self._compared_rows = compared_rows or COMPARED_ROWS
        self._passed_over: tuple[str, ...] = ()
        self._before: Masses | None = None
        self.buckets: Buckets | None = None
        self.stages = tuple(stages)
        self.steps: tuple[PartStep, ...] = ()
        self.seconds: dict[str, tuple[float, float]] = {}
        for stage in stages:
            for rule in stage.rules:
                if isinstance(rule, Align):
                    self._align(stage.name, rule)
                elif isinstance(rule, GroupRule):
                    self._compare(stage.name, rule)
                elif not isinstance(rule, FUSED):
                    self.steps = (*self.steps, RowStep(stage.name, rule))

    def details(self, after: Masses | None) -> dict[str, dict[str, Any]]:
        """Return the facts of each stage for its receipt.

        Args:
            after: Weight of the rows that are left, by bucket; None without rows or alignment.
        """
        details = {stage.name: dict(stage.details) for stage in self.stages}
        if "align" in details:
            marginals = []
            if self.buckets is not None and self._before is not None and after is not None:
                marginals = self.buckets.distances(self._before, after)
            details["align"] = {"marginals": marginals, "passed_over": list(self._passed_over)}
        return details

    @contextmanager
    def _timed(self, stage: str, words: str, n_passes: int = 1) -> Iterator[Callable[[int], None]]:
        """Charge the time of a block to a stage; yield a function for its progress."""
        with Stopwatch() as watch:
            yield self._board.stage(words, n_passes * self._n_events)
        wall, cpu = self.seconds.get(stage, (0.0, 0.0))
        self.seconds[stage] = wall + watch.wall_seconds, cpu + watch.cpu_seconds

    def _align(self, stage: str, rule: Align) -> None:
        """Weigh the draws in one pass, and add the step of the alignment that follows from it."""
        buckets = rule.buckets(self._stream.pair)
        self._passed_over = buckets.passed_over
        if not buckets.marginals:
            return
        finished = self._pieces.get("masses")
        if finished is None:
            masses = self._weigh(stage, buckets)
            self._pieces.put("masses", {"item": masses.item, "time": masses.time, "cell": masses.cell})
        else:
            masses = Masses(**finished)
        self.buckets, self._before = buckets, masses
        self.steps = (*self.steps, RowStep(stage, rule.decide(buckets, masses)))

    def _weigh(self, stage: str, buckets: Buckets) -> Masses:
        with self._timed(stage, "weighing draws for alignment") as progress:

            def of_part(part: Part) -> Masses:
                chunks = self._stream.chunks(part, self.steps, Count(), progress)
                return reduce(add, (buckets.weigh(chunk.rows()) for chunk in chunks))

            nothing = buckets.weigh(no_rows(timed=self._stream.pair.source.time is not None))
            return reduce(add, self._stream.each(of_part), nothing)

    def _compare(self, stage: str, rule: GroupRule) -> None:
        """Add the step that keeps the rows which a rule picks from each group of users or items."""
        group, k = rule.columns[0], self._stream.settings.draws_per_event
        name = f"{stage}-{group}"
        finished = self._pieces.get(name)
        if finished is None:
            bits, weights = self._pick(stage, group, rule)
            self._pieces.put(name, {"bits": bits, "weights": weights})
        else:
            bits, weights = finished["bits"], finished["weights"]
        self.steps = (*self.steps, PickedStep(stage, k, bits, weights))

    def _pick(
        self, stage: str, group: str, rule: GroupRule
    ) -> tuple[list[npt.NDArray[np.uint8]], list[tuple[Int64, Singles]] | None]:
        """Return the bits and weights of the rows that stay, by part; see `PickedStep`.

        Users or items are cut into classes by their keys, so that the rows of a class fit in memory: a pass per class.
        """
        stream = self._stream
        n_classes = max(1, -(-self._n_events * stream.settings.draws_per_event // self._compared_rows))
        vocabulary = stream.pair.target.users if group == "user" else stream.pair.target.items
        class_of = (vocabulary.keys % np.uint64(n_classes)).astype(np.int32)
        bits = [self._no_bits(part) for part in stream.parts]
        weights: list[list[tuple[Int64, Singles]]] = [[] for _ in stream.parts]
        with self._timed(stage, f"comparing the draws of each {group}", n_classes) as progress:
            for number in range(n_classes if stream.parts else 0):
                rows_of = partial(self._rows_of_class, number, class_of, group, progress)
                parts = list(stream.each(rows_of))
                picked, weight = rule.pick(joined([rows for rows, _ in parts]))
                ends = np.cumsum([0, *(len(places) for _, places in parts)])
                for part, (first, last) in enumerate(pairwise(np.searchsorted(picked, ends))):
                    places = parts[part][1][picked[first:last] - ends[part]]
                    set_bits(bits[part], places)
                    if weight is not None:
                        weights[part].append((places, weight[first:last]))
        return bits, [_by_place(of_part) for of_part in weights] if any(weights) else None

    def _rows_of_class(
        self, number: int, class_of: npt.NDArray[np.int32], group: str, progress: Callable[[int], None], part: Part
    ) -> tuple[Rows, Int64]:
        """Draw for a part; return the rows of one class of users or items, and their places among all draws."""
        rows, places = [], []
        for chunk in self._stream.chunks(part, self.steps, Count(), progress):
            in_class = np.flatnonzero(class_of[getattr(chunk.rows(), group)] == number)
            rows.append(chunk.taken(in_class))
            places.append(chunk.places(0, self._stream.settings.draws_per_event)[in_class])
        return joined(rows), np.concatenate(places)

    def _no_bits(self, part: Part) -> npt.NDArray[np.uint8]:
        start = self._stream.pair.source.item_start
        n_draws = int(start[part.last_item] - start[part.first_item]) * self._stream.settings.draws_per_event
        return np.zeros(n_draws // 8 + 1, np.uint8)


def _by_place(classes: list[tuple[Int64, Singles]]) -> tuple[Int64, Singles]:
    """Return places, ascending, and weights of all classes together."""
    if not classes:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    place, weight = (np.concatenate([arrays[number] for arrays in classes]) for number in (0, 1))
    order = np.argsort(place)
    return place[order], weight[order]
