"""Draw synthetic events from a translation."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from scalr.config import SampleSettings
from scalr.errors import ConfigError
from scalr.receipt import Stopwatch
from scalr.synthetic import SyntheticEvents
from scalr.translators.protocol import Translation

Number = TypeVar("Number", bound=np.generic)

CHUNK_ROWS = 1 << 20  # draws held at a time by a thread; about 12 MB


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
        translation: What to draw from.
        settings: Draws per event, strategy, temperature, minimum support; defaults if None.
        seed: Any integer.
        threads: Threads to draw with; as many as there are cores if None.
        chunk_rows: About how many draws a thread holds at a time.
        progress: Called with the number of source events done since the last call.

    Raises:
        ConfigError: If `threads` is below 1.
    """
    settings = settings or SampleSettings()
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads}", expected="at least 1, or None for all cores", fix="leave it out")
    chunks = []
    with Stopwatch() as watch:
        for chunk in translation.draw(
            settings, seed=seed, threads=threads or os.cpu_count() or 1, chunk_rows=chunk_rows
        ):
            chunks.append(chunk)
            if progress:
                progress(chunk.events)
        source = translation.pair.source
        row = _joined([chunk.source_row for chunk in chunks], np.int64)
        events = SyntheticEvents(
            pair=translation.pair,
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


def _joined(arrays: list[npt.NDArray[Number]], kind: type[Number]) -> npt.NDArray[Number]:
    return np.concatenate(arrays) if arrays else np.empty(0, kind)
