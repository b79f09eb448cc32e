"""Generate synthetic events part by part: draw, refine and hand on, in bounded memory.

A part is a range of source items with about `PART_DRAWS` draws, at most about `PART_EVENTS` events. Draws are hashes,
so a part can be drawn as often as needed: stages that need all events (duplicates, alignment, caps) are decided in
passes that draw and keep nothing but the decision. The last pass draws once more and hands on the rows that stay. The
result is that of `sample` and `refine`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from scalr.foundation import Int64, Mask, SampleSettings, Singles
from scalr.logs import EventLog, StoredPair, item_ranges
from scalr.synthesis.events import Rows, taken
from scalr.synthesis.kernels.filtering import RowArrays, have_bits, keep_draws
from scalr.synthesis.stages import DropReal, MinSupport, RealPairs, RowRule
from scalr.synthesis.translators.protocol import Draws, Translation

Result = TypeVar("Result")

PART_DRAWS = 1 << 22  # draws of a part, about: many enough to hide its fixed cost, few enough for many threads
PART_EVENTS = 1 << 20  # source events of a part, about, at most: a thread holds that many
BUFFER_ROWS = 3 << 17  # rows that are handed on together, at most: a row group, large enough for its dictionaries
DRAWN_ROWS = 1 << 15  # draws made at a time: they are filtered while they are in the cache

FUSED = (DropReal, MinSupport)
"""Rules that `Chunk.append` applies in one compiled loop; they come first in the list of stages."""


@dataclass(frozen=True, slots=True)
class Part:
    """A range of source items [first_item, last_item), by number."""

    number: int
    first_item: int
    last_item: int


@dataclass(slots=True)
class Count:
    """Counts of a part, or of several.

    Attributes:
        events: Positive source events.
        rows: Rows that each stage left, by stage.
        cpu_seconds: Processor time of each stage.
    """

    events: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, rows: int, cpu_seconds: float = 0.0) -> None:
        """Add to a stage."""
        self.rows[stage] = self.rows.get(stage, 0) + rows
        self.cpu_seconds[stage] = self.cpu_seconds.get(stage, 0.0) + cpu_seconds

    def add_rows(self, left: Mapping[str, int]) -> None:
        """Add the rows that each stage left."""
        for stage, rows in left.items():
            self.add(stage, rows)

    def join(self, other: Count) -> None:
        """Add the counts of another part."""
        self.events += other.events
        for stage, rows in other.rows.items():
            self.add(stage, rows, other.cpu_seconds[stage])


class Chunk:
    """Rows of one part while they are narrowed down, in arrays that are reused.

    Args:
        events: Positive source events of the part.
        rows: Capacity.
    """

    def __init__(self, events: EventLog, rows: int) -> None:
        self.events = events
        self._event, self._draw, self._item, self._support = (np.empty(rows, np.int32) for _ in range(4))
        self._confidence, self._weight = np.empty(rows, np.float32), np.empty(rows, np.float32)
        self._key = np.empty(len(events), np.uint64)
        self.n = 0

    @property
    def room(self) -> int:
        """Rows that still fit."""
        return len(self._item) - self.n

    def append(self, first: int, draws: Draws, k: int, real: RealPairs, min_support: int) -> tuple[int, int]:
        """Append draws that are not real and have enough support.

        Args:
            first: The first event that was drawn for.
            draws: The draws.
            k: Draws per event.
            real: Pairs of the real target log.
            min_support: Least support.

        Returns:
            The number of draws with an item, and how many of these are not real.
        """
        begin = self.n
        self._key[first : first + len(draws.key)] = draws.key
        rows = RowArrays(self._event, self._draw, self._item, self._confidence, self._support)
        n_drawn, n_new, self.n = keep_draws(
            first, k, self.events.user, draws, real.start, real.item, min_support, begin, rows
        )
        weight, event = self.events.weight, self._event[begin : self.n]
        self._weight[begin : self.n] = 1.0 if weight is None else weight[event]
        return n_drawn, n_new

    def narrow(self, begin: int, keep: Mask) -> None:
        """Keep the rows from `begin` on where `keep` is true."""
        n = begin + int(keep.sum())
        for array in (self._event, self._draw, self._item, self._support, self._confidence, self._weight):
            array[begin:n] = array[begin : self.n][keep]
        self.n = n

    def rows(self, begin: int = 0) -> Rows:
        """Return the rows from `begin` on; their arrays change with the next append."""
        span = slice(begin, self.n)
        return Rows(
            event=self._event[span],
            event_user=self.events.user,
            event_item=self.events.item,
            event_time=self.events.time,
            event_key=self._key,
            item=self._item[span],
            draw=self._draw[span],
            confidence=self._confidence[span],
            support=self._support[span],
            weight=self._weight[span],
        )

    def taken(self, places: Int64) -> Rows:
        """Return some rows, copied."""
        return taken(self.rows(), places)

    def places(self, begin: int, draws: int) -> Int64:
        """Return the number of each row from `begin` on among all draws of its part, shape (n,)."""
        place: Int64 = self._event[begin : self.n].astype(np.int64) * draws + self._draw[begin : self.n]
        return place

    def set_weight(self, begin: int, weight: Singles) -> None:
        """Replace the weights of the rows from `begin` on."""
        self._weight[begin : self.n] = weight


class PartStep(Protocol):
    """Narrows the rows of a chunk down."""

    @property
    def stage(self) -> str:
        """Return the stage that the rows are counted for."""

    def apply(self, part: Part, chunk: Chunk, begin: int) -> None:
        """Narrow the rows of `chunk` from `begin` on."""


@dataclass(frozen=True, slots=True, eq=False)
class RowStep:
    """Keeps the rows that a rule keeps.

    Attributes:
        stage: The stage that the rule belongs to.
        rule: The rule.
    """

    stage: str
    rule: RowRule

    def apply(self, part: Part, chunk: Chunk, begin: int) -> None:
        """Narrow the rows; see `PartStep`."""
        chunk.narrow(begin, self.rule.keep(chunk.rows(begin)))


@dataclass(frozen=True, slots=True, eq=False)
class PickedStep:
    """Keeps the rows that an earlier pass picked by a `GroupRule`.

    Attributes:
        stage: The stage that the rule belongs to.
        draws: Draws per event.
        bits: Per part, one bit per draw.
        weights: Per part, places (ascending) and new weights of the rows; None to leave weights as they are.
    """

    stage: str
    draws: int
    bits: list[npt.NDArray[np.uint8]]
    weights: list[tuple[Int64, Singles]] | None = None

    def apply(self, part: Part, chunk: Chunk, begin: int) -> None:
        """Narrow the rows; see `PartStep`."""
        chunk.narrow(begin, have_bits(self.bits[part.number], chunk.places(begin, self.draws)))
        if self.weights is not None:
            place, weight = self.weights[part.number]
            chunk.set_weight(begin, weight[np.searchsorted(place, chunk.places(begin, self.draws))])


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """All draws of a translation for stored logs, part by part.

    Attributes:
        pair: The logs.
        translation: The fitted translation.
        settings: Draws per event, strategy, temperature, minimum support.
        min_support: Least support that refining keeps.
        seed: Any integer.
        threads: Parts to work on at a time.
        parts: The parts, in order.
        real: Pairs of the real target log.
    """

    pair: StoredPair
    translation: Translation
    settings: SampleSettings
    min_support: int
    seed: int
    threads: int
    parts: tuple[Part, ...]
    real: RealPairs

    @classmethod
    def from_pair(
        cls,
        pair: StoredPair,
        translation: Translation,
        settings: SampleSettings,
        *,
        min_support: int,
        seed: int,
        threads: int,
    ) -> Stream:
        """Cut the source into parts; the cuts depend on the logs and the draws per event alone."""
        parts = tuple(Part(number, *ends) for number, ends in enumerate(part_ranges(pair, settings)))
        real = RealPairs.from_log(pair.target)
        return cls(pair, translation, settings, min_support, seed, threads, parts, real)

    def each(self, work: Callable[[Part], Result]) -> Iterator[Result]:
        """Apply `work` to every part, `threads` parts at a time; results come in the order of the parts."""
        waiting: deque[Future[Result]] = deque()
        with ThreadPoolExecutor(self.threads) as pool:
            for part in self.parts:
                waiting.append(pool.submit(work, part))
                if len(waiting) > self.threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def chunks(
        self,
        part: Part,
        steps: tuple[PartStep, ...],
        count: Count,
        progress: Callable[[int], None] | None = None,
        events: tuple[int, int] | None = None,
    ) -> Iterator[Chunk]:
        """Draw for a part and narrow down; yield a chunk of rows whenever the buffer is nearly full, and at the end.

        The cuts between chunks depend on the logs and the settings alone.

        Args:
            part: The part.
            steps: Steps that narrow the rows down, in order, after the rules of `FUSED`.
            count: Counts the rows of each stage.
            progress: Called with the number of source events done since the last call.
            events: Range of the part's positive events to draw for; all if None.
        """
        k = self.settings.draws_per_event
        room = max(BUFFER_ROWS, k)
        clock = StageClock(count)
        log = self.pair.source.part(part.first_item, part.last_item)
        drawing = self.translation.drawing(log, self.settings, seed=self.seed, most=max(1, DRAWN_ROWS // k))
        chunk = Chunk(drawing.events, room)
        first, n_events = events or (0, len(drawing.events))
        count.events += n_events - first
        while first < n_events:
            last = min(first + max(1, min(chunk.room, DRAWN_ROWS) // k), n_events)
            begin = chunk.n
            draws = drawing.draw(first, last)
            clock.lap("sample")
            n_drawn, n_new = chunk.append(first, draws, k, self.real, self.min_support)
            clock.lap("drop_real")
            left = {"sample": n_drawn, "drop_real": n_new, "filter": chunk.n - begin}
            for step in steps:
                step.apply(part, chunk, begin)
                left[step.stage] = chunk.n - begin
                clock.lap(step.stage)
            count.add_rows(left)
            if progress:
                progress(last - first)
            first = last
            if first < n_events and chunk.room < k:
                yield chunk
                chunk.n = 0
                clock.restart()
        yield chunk


def part_ranges(pair: StoredPair, settings: SampleSettings) -> Iterator[tuple[int, int]]:
    """Return the source items of each part, as ranges [first, last)."""
    n_events = min(PART_EVENTS, max(1, PART_DRAWS // settings.draws_per_event))
    return item_ranges(pair.source.item_start, n_events)


class StageClock:
    """Charges the processor time of this thread to stages."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self.restart()

    def restart(self) -> None:
        """Drop the time since the last lap."""
        self._since = time.thread_time()

    def lap(self, stage: str) -> None:
        """Charge the time since the last lap to a stage."""
        now = time.thread_time()
        self._count.add(stage, 0, now - self._since)
        self._since = now
