"""Co-occurrence as paths: P(i | j) in proportion to the users, other than the event's own, who have both i and j.

The paper's estimator (arXiv 2606.00282): users are counted, not events. Normalised over target items it is the law of
the end of a uniformly drawn path (source item -> overlap user -> target item), which needs no table of counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalr import rng
from scalr.config import SampleSettings, TranslateSettings
from scalr.domain import EventLog, Pair
from scalr.errors import SchemaError
from scalr.kernels import paths
from scalr.receipt import Receipt, Stopwatch
from scalr.times import MICROSECONDS_PER_DAY
from scalr.translators.protocol import Drawn

Int64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_NO_TIMES = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class SourceEvents:
    """Positive source events, sorted by (item, user); shapes are (events,) but for `item_start`."""

    row: Int64
    user: npt.NDArray[np.int32]
    key: npt.NDArray[np.uint64]
    time: Int64
    testifies: Mask
    item_start: Int64


@dataclass(frozen=True, slots=True, eq=False)
class TargetHistories:
    """Distinct target items of every user, ascending; with a window also their target events in time order."""

    start: Int64
    item: npt.NDArray[np.int32]
    recent_start: Int64
    recent_item: npt.NDArray[np.int32]
    recent_time: Int64


@dataclass(frozen=True, slots=True, eq=False)
class CooccurrenceTranslation:
    """The two halves of all paths, ready to be joined at their overlap users."""

    pair: Pair
    source: SourceEvents
    target: TargetHistories
    paths: Int64
    window: int
    fitted_until: int | None
    receipt: Receipt

    def draw(self, settings: SampleSettings, *, seed: int, threads: int, chunk_rows: int) -> Iterator[Drawn]:
        """Draw for every positive source event; see `Translation.draw`."""
        stream = rng.stream(seed, rng.Purpose.DRAW)
        chunks = _chunks(self.source.item_start, max(1, chunk_rows // settings.draws_per_event))
        with ThreadPoolExecutor(threads) as pool:
            waiting: deque[Future[Drawn]] = deque()
            for chunk in chunks:
                waiting.append(pool.submit(self._draw_chunk, chunk, settings, stream))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _draw_chunk(self, items: tuple[int, int], settings: SampleSettings, stream: np.uint64) -> Drawn:
        source, target, k = self.source, self.target, settings.draws_per_event
        first, last = int(source.item_start[items[0]]), int(source.item_start[items[1]])
        item = np.empty((last - first) * k, np.int32)
        confidence, support = np.empty(len(item), np.float32), np.empty(len(item), np.int32)
        weighted = settings.strategy != "sample" or settings.temperature != 1.0 or settings.min_support != 1
        workspace = paths.make_workspace(
            int(np.diff(source.item_start[items[0] : items[1] + 1]).max()),
            int(self.paths[items[0] : items[1]].max()),
            len(self.pair.target.items),
            weighted=weighted,
        )
        arguments = (
            workspace, (first, last), k, stream, source.key[first:last], source.user, source.testifies, source.time,
            source.item_start, target.start, target.item, target.recent_start, target.recent_item, target.recent_time,
            self.window, item, confidence, support,
        )  # fmt: skip
        if not weighted:
            paths.draw_uniform_paths(*arguments)
        else:
            top = settings.strategy == "topk"
            paths.draw_weighted_items(*arguments, 1.0 / settings.temperature, settings.min_support, top)
        found = np.flatnonzero(item != paths.NO_ITEM)
        return Drawn(
            events=last - first,
            item=item[found],
            source_row=source.row[first + found // k],
            draw=(found % k).astype(np.int32),
            confidence=confidence[found],
            support=support[found],
        )


def fit_cooccurrence(pair: Pair, settings: TranslateSettings) -> CooccurrenceTranslation:
    """Sort the source events by item and lay the target histories out by user.

    Raises:
        SchemaError: If a window is asked for and a log has no time.
    """
    source_log, target_log = pair.source.positives(), pair.target.positives()
    if settings.window_days is not None and (source_log.time is None or target_log.time is None):
        raise SchemaError(
            f"window_days is {settings.window_days}, but a log has no time column",
            expected="a time column in every log",
            fix="name it with --time COL, or leave the window out",
        )
    with Stopwatch() as watch:
        source = _source_events(pair, settings.history_cap)
        target = _target_histories(target_log, settings.history_cap, timed=settings.window_days is not None)
        n_paths = paths.count_paths(source.user, source.testifies, source.item_start, target.start)
    seen = [time for time in (source_log.last_time(), target_log.last_time()) if time is not None]
    return CooccurrenceTranslation(
        pair=pair,
        source=source,
        target=target,
        paths=n_paths,
        window=-1 if settings.window_days is None else round(settings.window_days * MICROSECONDS_PER_DAY),
        fitted_until=max(seen, default=None),
        receipt=watch.receipt(
            "fit",
            len(source_log) + len(target_log),
            int(n_paths.sum()),
            translator="cooccurrence",
            paths=int(n_paths.sum()),
            source_items_with_paths=int((n_paths > 0).sum()),
        ),
    )


def _source_events(pair: Pair, cap: int | None) -> SourceEvents:
    kept = np.arange(len(pair.source)) if pair.source.label is None else np.flatnonzero(pair.source.label == 1)
    log = pair.source.positives()
    order, item_start = paths.stable_order(log.item, len(log.items))
    return SourceEvents(
        row=kept[order],
        user=log.user[order],
        key=pair.source.keys()[kept[order]],
        time=_NO_TIMES if log.time is None else log.time[order],
        testifies=_latest_items(log, cap)[order],
        item_start=item_start,
    )


def _target_histories(log: EventLog, cap: int | None, *, timed: bool) -> TargetHistories:
    log = log.take(_latest_items(log, cap))
    new = log.starts_interaction()
    start = np.zeros(len(log.users) + 1, np.int64)
    np.cumsum(np.bincount(log.user[new], minlength=len(log.users)), out=start[1:])
    recent_start, recent_item, recent_time = np.zeros(1, np.int64), np.empty(0, np.int32), _NO_TIMES
    if timed and log.time is not None:
        order = np.lexsort((log.time, log.user))
        recent_start = np.zeros(len(log.users) + 1, np.int64)
        np.cumsum(np.bincount(log.user, minlength=len(log.users)), out=recent_start[1:])
        recent_item, recent_time = log.item[order], log.time[order]
    return TargetHistories(start, log.item[new], recent_start, recent_item, recent_time)


def _latest_items(log: EventLog, cap: int | None) -> Mask:
    """Say for each event whether its item is among its user's `cap` latest (ties, or no time: by item key)."""
    if cap is None:
        return np.ones(len(log), np.bool_)
    new = log.starts_interaction()
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(log)) - 1
    time = np.zeros(len(first), np.int64) if log.time is None else log.time[last]
    order = np.lexsort((log.item[first], -time, log.user[first]))
    user = log.user[first][order]
    place = np.arange(len(order)) - np.searchsorted(user, user)
    latest = np.empty(len(order), np.bool_)
    latest[order] = place < cap
    of_event: Mask = latest[np.cumsum(new) - 1]
    return of_event


def _chunks(item_start: Int64, events: int) -> Iterator[tuple[int, int]]:
    """Cut source items into ranges of about `events` events each; an item is never cut."""
    n_items, first = len(item_start) - 1, 0
    while first < n_items:
        last = int(np.searchsorted(item_start, item_start[first] + events, side="right")) - 1
        last = min(max(last, first + 1), n_items)
        if item_start[last] > item_start[first]:
            yield first, last
        first = last
