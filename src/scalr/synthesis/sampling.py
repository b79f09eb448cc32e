"""Draw synthetic events from a translation."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from scalr.foundation import Codes, ConfigError, SampleSettings, Stopwatch
from scalr.logs import Pair
from scalr.synthesis.events import SyntheticEvents
from scalr.synthesis.translators.protocol import NO_ITEM, Drawing, Translation

Number = TypeVar("Number", bound=np.generic)

CHUNK_ROWS = 1 << 20  # draws per thread and chunk; about 12 MB


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    """Draws of `events` source events without empty draws; arrays of shape (n,)."""

    events: int
    item: Codes
    event: npt.NDArray[np.int64]
    draw: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]
    support: npt.NDArray[np.int32]


def sample(
    translation: Translation,
    settings: SampleSettings | None = None,
    *,
    seed: int = 0,
    threads: int | None = None,
    chunk_rows: int = CHUNK_ROWS,
    progress: Callable[[int], None] | None = None,
) -> SyntheticEvents:
    """Draw target items for every positive source event.

    The same seed and settings give the same events for any `threads`, `chunk_rows`, row order and file format.

    Args:
        translation: The distribution, fitted on a pair in memory.
        settings: Draws per event, strategy, temperature, minimum support; defaults if None.
        seed: Any integer.
        threads: Number of threads; number of cores if None.
        chunk_rows: Approximate number of draws per thread and chunk.
        progress: Called with the number of source events done since the last call.

    Raises:
        ConfigError: If `threads` is below 1.
    """
    settings = settings or SampleSettings()
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads}", expected="at least 1, or None for all cores", fix="remove `threads`")
    pair = translation.pair
    assert isinstance(pair, Pair), "events in memory need logs in memory"
    chunks = []
    with Stopwatch() as watch:
        most = max(1, min(chunk_rows // settings.draws_per_event, len(pair.source)))
        drawing = translation.drawing(pair.source, settings, seed=seed, most=most)
        for chunk in _chunks(drawing, settings.draws_per_event, most, threads or os.cpu_count() or 1):
            chunks.append(chunk)
            if progress:
                progress(chunk.events)
        source = pair.source
        event = _joined([chunk.event for chunk in chunks], np.int64)
        row = event if source.label is None else np.flatnonzero(source.label == 1)[event]
        events = SyntheticEvents(
            pair=pair,
            user=source.user[row],
            item=_joined([chunk.item for chunk in chunks], np.int32),
            source_row=row,
            draw=_joined([chunk.draw for chunk in chunks], np.int32),
            confidence=_joined([chunk.confidence for chunk in chunks], np.float32),
            support=_joined([chunk.support for chunk in chunks], np.int32),
            weight=np.ones(len(row), np.float32) if source.weight is None else source.weight[row],
            fitted_until=translation.fitted_until,
            seed=seed,
        )
    n_events = sum(chunk.events for chunk in chunks)
    drawn = watch.receipt("sample", n_events, len(events), item_coverage=round(events.item_coverage(), 6))
    return events.with_receipt(translation.receipt).with_receipt(drawn)


def _chunks(drawing: Drawing, draws: int, most: int, threads: int) -> Iterator[_Chunk]:
    """Draw for all events in order, in chunks of `most` events."""
    n = len(drawing.events)
    free = deque([drawing, *(drawing.fork() for _ in range(min(threads, -(-n // most)) - 1))])

    def drawn(first: int) -> _Chunk:
        idle = free.popleft()  # never empty: there are as many drawings as threads
        try:
            last = min(first + most, n)
            result = idle.draw(first, last)
            places = np.flatnonzero(result.item != NO_ITEM)
            return _Chunk(
                events=last - first,
                item=result.item[places],
                event=first + places // draws,
                draw=(places % draws).astype(np.int32),
                confidence=result.confidence[places],
                support=result.support[places],
            )
        finally:
            free.append(idle)

    with ThreadPoolExecutor(len(free)) as pool:
        waiting: deque[Future[_Chunk]] = deque()
        for first in range(0, n, most):
            waiting.append(pool.submit(drawn, first))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _joined(arrays: list[npt.NDArray[Number]], kind: type[Number]) -> npt.NDArray[Number]:
    return np.concatenate(arrays) if arrays else np.empty(0, kind)
