"""Decide which draws of a stream stay where that takes a look at all of them: duplicates, alignment, caps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, reduce
from itertools import pairwise
from operator import add
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from scalr.foundation import Board, Int64, Pieces, RefineSettings, Singles, Stopwatch
from scalr.synthesis import (
    AlignStep,
    Buckets,
    ConfidenceFilter,
    Count,
    Masses,
    Part,
    Picked,
    Rows,
    Step,
    Stream,
    alignment,
    best_of_each,
    buckets_of,
    joined,
    keys_of,
    masses_of,
    most_confident,
    no_rows,
    set_bits,
)

Result = TypeVar("Result")
HELD_ROWS = 1 << 23  # rows compared at a time, about, where memory allows; 1.6 GB with what sorting takes

Pick = Callable[[Rows], "tuple[Int64, Singles | None]"]
"""Finds the rows that stay: their numbers, ascending, and new weights or None."""


class Narrowing:
    """The steps of a stream, found one after another; every pass draws with the steps so far.

    Args:
        stream: The draws.
        settings: What to narrow by.
        board: Where progress is shown.
        n_events: Source events that are drawn for.
        held_rows: Rows that are compared at a time, about; `HELD_ROWS` if None. They do not change the result.
        pieces: Passes that are finished already, and where to keep those that get finished.

    Attributes:
        steps: What narrows the rows, in order.
        seconds: Wall and processor time of the passes that a stage took.
    """

    def __init__(
        self,
        stream: Stream,
        settings: RefineSettings,
        board: Board,
        n_events: int,
        held_rows: int | None = None,
        pieces: Pieces | None = None,
    ) -> None:
        self._stream, self._board, self._n_events, self._pieces = stream, board, n_events, pieces or Pieces()
        self._held_rows = held_rows or HELD_ROWS
        self.steps: tuple[Step, ...] = ()
        self.seconds: dict[str, tuple[float, float]] = {}
        if settings.min_confidence > 0:
            self.steps = (ConfidenceFilter(settings.min_confidence),)
        if settings.duplicates != "keep":
            self._pick("deduplicate", "user", _best(merge=settings.duplicates == "merge"))
        self._buckets = None if settings.align is None else buckets_of(stream.pair, settings.align)
        self._before: Masses | None = None
        if settings.align is not None and self._buckets is not None and self._buckets.marginals:
            self._before = self._masses(self._buckets)
            plan = alignment(self._buckets, self._before, settings.align.keep_share, stream.seed)
            self.steps = (*self.steps, AlignStep(plan))
        for limit, group in ((settings.max_per_user, "user"), (settings.max_per_item, "item")):
            if limit is not None:
                self._pick("cap", group, _most_confident(group, limit, stream.seed))

    @property
    def buckets(self) -> Buckets | None:
        """Return the buckets that rows are aligned by, or None."""
        return self._buckets if self._before is not None else None

    def align_details(self, after: Masses | None) -> dict[str, Any]:
        """Return the facts of alignment for its receipt, or nothing where there was none to do."""
        if self._buckets is None:
            return {}
        marginals = []
        if self._before is not None and after is not None:
            marginals = self._buckets.distances(self._before, after)
        return {"marginals": marginals, "passed_over": list(self._buckets.passed_over)}

    def _pass(self, work: Callable[[Part], Result]) -> list[Result]:
        """Do some work on every part."""
        return list(self._stream.each(work))

    @contextmanager
    def _stage(self, stage: str, words: str, n_passes: int = 1) -> Iterator[Callable[[int], None]]:
        """Charge what happens to a stage; give a function for its progress."""
        with Stopwatch() as watch:
            yield self._board.stage(words, n_passes * self._n_events)
        wall, cpu = self.seconds.get(stage, (0.0, 0.0))
        self.seconds[stage] = wall + watch.wall_seconds, cpu + watch.cpu_seconds

    def _masses(self, buckets: Buckets) -> Masses:
        kept = self._pieces.get("masses")
        if kept is None:
            masses = self._weighed(buckets)
            self._pieces.put("masses", {"item": masses.item, "time": masses.time, "cell": masses.cell})
            return masses
        return Masses(**kept)

    def _weighed(self, buckets: Buckets) -> Masses:
        with self._stage("align", "weighing draws for alignment") as progress:

            def of_part(part: Part) -> Masses:
                chunks = self._stream.chunks(part, self.steps, Count(), progress)
                return reduce(add, (masses_of(buckets, chunk.rows()) for chunk in chunks))

            nothing = masses_of(buckets, no_rows(timed=self._stream.pair.source.time is not None))
            return reduce(add, self._pass(of_part), nothing)

    def _pick(self, stage: str, group: str, pick: Pick) -> None:
        """Add the step that leaves the rows which a group of users or items decides to keep among its own rows."""
        name, k = f"{stage}-{group}", self._stream.settings.draws_per_event
        kept = self._pieces.get(name)
        if kept is None:
            bits, weights = self._picked(stage, group, pick)
            self._pieces.put(name, {"bits": bits, "weights": weights})
        else:
            bits, weights = kept["bits"], kept["weights"]
        self.steps = (*self.steps, Picked(stage, k, bits, weights))

    def _picked(
        self, stage: str, group: str, pick: Pick
    ) -> tuple[list[npt.NDArray[np.uint8]], list[tuple[Int64, Singles]] | None]:
        """Return the bits and weights of the rows that stay, by part; see `Picked`."""
        stream, k = self._stream, self._stream.settings.draws_per_event
        n_groups = max(1, -(-self._n_events * k // self._held_rows))
        words = stream.pair.target.users if group == "user" else stream.pair.target.items
        group_of = (words.keys % np.uint64(n_groups)).astype(np.int32)
        bits = [self._no_bits(part) for part in stream.parts]
        weights: list[list[tuple[Int64, Singles]]] = [[] for _ in stream.parts]
        with self._stage(stage, f"comparing the draws of each {group}", n_groups) as progress:

            def held(part: Part, number: int) -> tuple[Rows, Int64]:
                rows, places = [], []
                for chunk in stream.chunks(part, self.steps, Count(), progress):
                    mine = np.flatnonzero(group_of[getattr(chunk.rows(), group)] == number)
                    rows.append(chunk.taken(mine))
                    places.append(chunk.places(0, k)[mine])
                return joined(rows), np.concatenate(places)

            for number in range(n_groups if stream.parts else 0):
                parts = self._pass(partial(held, number=number))
                chosen, weight = pick(joined([rows for rows, _ in parts]))
                ends = np.cumsum([0, *(len(places) for _, places in parts)])
                bounds = np.searchsorted(chosen, ends)
                for part, (first, last) in enumerate(pairwise(bounds)):
                    places = parts[part][1][chosen[first:last] - ends[part]]
                    set_bits(bits[part], places)
                    if weight is not None:
                        weights[part].append((places, weight[first:last]))
        return bits, [_by_place(of_part) for of_part in weights] if any(weights) else None

    def _no_bits(self, part: Part) -> npt.NDArray[np.uint8]:
        start = self._stream.pair.source.item_start
        n_draws = int(start[part.last_item] - start[part.first_item]) * self._stream.settings.draws_per_event
        return np.zeros(n_draws // 8 + 1, np.uint8)


def _best(*, merge: bool) -> Pick:
    def pick(rows: Rows) -> tuple[Int64, Singles | None]:
        best, weight = best_of_each(rows.user, rows.item, rows.confidence, rows.weight)
        return best, weight if merge else None

    return pick


def _most_confident(group: str, limit: int, seed: int) -> Pick:
    def pick(rows: Rows) -> tuple[Int64, Singles | None]:
        kept = most_confident(getattr(rows, group), rows.confidence, keys_of(rows), limit, seed)
        return np.flatnonzero(kept), None

    return pick


def _by_place(pieces: list[tuple[Int64, Singles]]) -> tuple[Int64, Singles]:
    if not pieces:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    place, weight = (np.concatenate([piece[number] for piece in pieces]) for number in (0, 1))
    order = np.argsort(place)
    return place[order], weight[order]
