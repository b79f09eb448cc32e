"""Co-occurrence as paths: P(i | j) in proportion to the users, other than the event's own, who have both i and j.

The paper's estimator (arXiv 2606.00282): users are counted, not events. Normalised over target items it is the law of
the end of a uniformly drawn path (source item -> overlap user -> target item), which needs no table of counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scalr.foundation import (
    Codes,
    Floats,
    Int64,
    Mask,
    Receipt,
    SampleSettings,
    SchemaError,
    Stopwatch,
    TranslateSettings,
    rng,
)
from scalr.logs import MICROSECONDS_PER_DAY, EventLog, Pair, StoredPair
from scalr.synthesis.kernels import path_layout as layout
from scalr.synthesis.kernels import path_probability as pathlaw
from scalr.synthesis.kernels import uniform_paths as uniform
from scalr.synthesis.kernels import weighted_items as weighted
from scalr.synthesis.translators.backoff import Backoff, fit_backoff
from scalr.synthesis.translators.history_caps import HISTORY_BOUND, Cutoff, cutoff_of
from scalr.synthesis.translators.protocol import Drawing, Draws, supported
from scalr.synthesis.translators.queries import Asked, source_events

_NO_TIMES, _NO_ITEMS, _ALL_TESTIFY = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class TargetHistories:
    """Distinct target items of every user, ascending; with a window also their events in the order of time."""

    start: Int64
    item: npt.NDArray[np.int32]
    recent_start: Int64
    recent_item: npt.NDArray[np.int32]
    recent_time: Int64


@dataclass(frozen=True, slots=True, eq=False)
class CooccurrenceTranslation:
    """The target half of all paths, to be joined with source events at the overlap users."""

    pair: Pair | StoredPair
    target: TargetHistories
    cutoff: Cutoff | None
    window: int
    backoff: Backoff | None
    fitted_until: int | None
    receipt: Receipt
    least: int = 1

    def drawing(self, source: EventLog, settings: SampleSettings, *, seed: int, most: int) -> Drawing:
        """Join source events with the target half; see `Translation.drawing`."""
        laid, settings = self.lay_out(source), supported(settings, self.least)
        paths = PathDrawing(
            events=laid.events,
            item_start=laid.item_start,
            testifies=laid.testifies,
            target=self.target,
            window=self.window,
            settings=settings,
            stream=rng.stream(seed, rng.Purpose.DRAW),
            n_target=len(self.pair.target.items),
            max_events=laid.max_events,
            max_paths=laid.max_paths,
            most=most,
        )
        if self.backoff is None:
            return paths
        return self.backoff.over(paths, laid.testifies, settings, seed=seed, most=most, least=self.least)

    def lay_out(self, source: EventLog) -> SourceHalf:
        """Return the source half of the paths of some source items, all events of which are given."""
        log = source.positives()
        first_item = int(log.item[0]) if len(log) else 0
        n_items = int(log.item[-1]) - first_item + 1 if len(log) else 0
        start = np.zeros(n_items + 1, np.int64)
        np.cumsum(np.bincount(log.item - first_item, minlength=n_items), out=start[1:])
        testifies = _ALL_TESTIFY if self.cutoff is None else self.cutoff.admits(log)
        n_paths = layout.count_paths(log.user, testifies, start, self.target.start)
        return SourceHalf(log, start, testifies, int(np.diff(start).max(initial=0)), int(n_paths.max(initial=0)))

    def path_arguments(self, half: SourceHalf) -> tuple[Any, ...]:
        """Return what kernels take of paths, from the users of the events to the window."""
        log, target = half.events, self.target
        return (
            log.user, half.testifies, _NO_TIMES if log.time is None else log.time, half.item_start, target.start,
            target.item, target.recent_start, target.recent_item, target.recent_time, self.window,
        )  # fmt: skip

    def probability(self, user: Codes, item: Codes) -> Floats:
        """Return P(item | user); see `Translation.probability`. With back-off it is the mixed law."""
        stored = StoredPair.from_pair(self.pair)
        asked = Asked.of(user, item, len(stored.target.users))
        total = np.zeros(len(item))
        for part in stored.source.parts():
            half = self.lay_out(part)
            asked.look_up(half.events, self._looked_up(half), total)
        return asked.answer(total, source_events(stored))

    def counting(self, half: SourceHalf) -> Callable[[Int64, Codes], tuple[Codes, Int64]]:
        """Return what counts, for events (ascending) and target items, shape (n,) each, the paths of other users.

        It returns, shape (n,) each, the paths that lead to the item, which are users, and all paths of the event.
        """
        arguments = self.path_arguments(half)
        n_target = len(self.pair.target.items)
        workspace = layout.make_workspace(half.max_events, half.max_paths, n_target, weighted=False)

        def counted(event: Int64, item: Codes) -> tuple[Codes, Int64]:
            behind, paths = np.empty(len(item), np.int32), np.empty(len(item), np.int64)
            given = (workspace, event, item, *arguments, behind, paths)
            pathlaw.count_asked(*given)
            return behind, paths

        return counted

    def stated(self, half: SourceHalf, event: Int64, item: Codes, behind: Codes, paths: Int64) -> Floats:
        """Return the confidence of pairs that were counted, shape (n,), whatever is behind them."""
        if self.backoff is None:
            return behind / np.maximum(paths, 1)
        return self.backoff.mixed(half.events, half.testifies, event, item, paths, behind)

    def _looked_up(self, half: SourceHalf) -> Callable[[Int64, Codes], Floats]:
        counted = self.counting(half)

        def told(event: Int64, item: Codes) -> Floats:
            behind, paths = counted(event, item)
            share = self.stated(half, event, item, behind, paths)
            return share if self.least == 1 else np.where(behind >= self.least, share, 0.0)

        return told


@dataclass(frozen=True, slots=True, eq=False)
class SourceHalf:
    """The source half of paths: the positive events of some source items.

    Attributes:
        events: The events, by item.
        item_start: Where each item's events start, from the first item of the events to the last.
        testifies: Shape (n,), whether each event's user lends its target items to others; or (0,) where all do.
        max_events: Most events of an item.
        max_paths: Most paths of an item, before any window.
    """

    events: EventLog
    item_start: Int64
    testifies: Mask
    max_events: int
    max_paths: int


class PathDrawing:
    """Draws along the paths of some source items; see `Drawing`."""

    def __init__(
        self,
        events: EventLog,
        item_start: Int64,
        testifies: Mask,
        target: TargetHistories,
        window: int,
        settings: SampleSettings,
        stream: np.uint64,
        n_target: int,
        max_events: int,
        max_paths: int,
        most: int,
    ) -> None:
        self.events = events
        self._given = (
            events, item_start, testifies, target, window, settings, stream, n_target, max_events, max_paths, most,
        )  # fmt: skip
        self._item_start, self._testifies, self._target = item_start, testifies, target
        self._window, self._settings, self._stream = window, settings, stream
        self._sizes = max_events, max_paths, n_target
        plain = settings.strategy == "sample" and settings.temperature == 1.0 and settings.min_support == 1
        self._is_plain = plain
        self._workspace = layout.make_workspace(max_events, max_paths, n_target, weighted=not plain)
        self._counting = self._workspace if plain else None
        rows = most * settings.draws_per_event
        self._item, self._support = np.empty(rows, np.int32), np.empty(rows, np.int32)
        self._confidence = np.empty(rows, np.float32)

    def fork(self) -> PathDrawing:
        """Return the same with a workspace of its own."""
        return PathDrawing(*self._given)

    def draw(self, first: int, last: int) -> Draws:
        """Draw for events [first, last); see `Drawing.draw`."""
        log, target, settings = self.events, self._target, self._settings
        key = log.keys(first, last)
        rows = (last - first) * settings.draws_per_event
        item, confidence, support = self._item[:rows], self._confidence[:rows], self._support[:rows]
        arguments = (
            self._workspace, (first, last), settings.draws_per_event, self._stream, key, log.user, self._testifies,
            _NO_TIMES if log.time is None else log.time, self._item_start, target.start, target.item,
            target.recent_start, target.recent_item, target.recent_time, self._window, item, confidence, support,
        )  # fmt: skip
        if self._is_plain:
            uniform.draw_uniform_paths(*arguments)
        else:
            top = settings.strategy == "topk"
            weighted.draw_weighted_items(*arguments, 1.0 / settings.temperature, settings.min_support, top)
        return Draws(key, item, confidence, support)

    def behind(self, event: Int64, item: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Return, shape (n,), the other users behind the source item of each event and a target item, at least 0.

        Args:
            event: Shape (n,), places among `events`, ascending.
            item: Shape (n,), codes of target items.
        """
        log, target = self.events, self._target
        if self._counting is None:  # draws with weights lay out otherwise, and should find what they left
            max_events, max_paths, n_target = self._sizes
            self._counting = layout.make_workspace(max_events, max_paths, n_target, weighted=False)
        return uniform.count_users_behind(
            self._counting, event, item, self._settings.draws_per_event, log.user, self._testifies,
            _NO_TIMES if log.time is None else log.time, self._item_start, target.start, target.item,
            target.recent_start, target.recent_item, target.recent_time, self._window,
        )  # fmt: skip


def fit_cooccurrence(pair: Pair | StoredPair, settings: TranslateSettings) -> CooccurrenceTranslation:
    """Lay the target histories out by user, and the laws of categories where thin items are to back off to them.

    Raises:
        SchemaError: If a window is asked for and a log has no time, or the item table's `category` holds lists.
    """
    stored = StoredPair.from_pair(pair)
    check_window(settings, timed=stored.source.time is not None and stored.target.time is not None)
    target_log, cap = stored.target.positives(), settings.history_cap or HISTORY_BOUND
    with Stopwatch() as watch:
        target = target_histories(target_log, cap, timed=settings.window_days is not None)
        cutoff = source_cutoff(stored, cap)
        n_paths = _count_paths(stored.source_counts.interactions_of_user, target, cap)
        backoff = (
            fit_backoff(stored, settings.backoff, target.start, target.item, cutoff) if settings.backoff > 0 else None
        )
    return CooccurrenceTranslation(
        pair=pair,
        target=target,
        cutoff=cutoff,
        window=window_of(settings),
        backoff=backoff,
        fitted_until=horizon(stored),
        receipt=watch.receipt(
            "fit",
            len(stored.source) + len(target_log),
            n_paths,
            translator="cooccurrence",
            **({} if backoff is None else {"categories": backoff.n_categories}),
        ),
        least=settings.privacy.k,
    )


def check_window(settings: TranslateSettings, *, timed: bool) -> None:
    """Refuse a window where a log has no time.

    Raises:
        SchemaError: If there is one.
    """
    if settings.window_days is not None and not timed:
        raise SchemaError(
            f"window_days is {settings.window_days}, but a log has no time column",
            expected="a time column in every log",
            fix="name it with --time COL, or leave the window out",
        )


def window_of(settings: TranslateSettings) -> int:
    """Return the window in microseconds, -1 for none."""
    return -1 if settings.window_days is None else round(settings.window_days * MICROSECONDS_PER_DAY)


def source_cutoff(stored: StoredPair, cap: int) -> Cutoff | None:
    """Return which source items testify where each user has at most `cap`; None where all do."""
    if stored.source_counts.interactions_of_user.max(initial=0) <= cap:
        return None

    def positives() -> Iterator[EventLog]:
        return (part.positives() for part in stored.source.parts())

    return cutoff_of(positives, stored.source_counts.interactions_of_user, cap)


def _count_paths(interactions_of_user: Int64, target: TargetHistories, cap: int) -> int:
    """Count all paths (before any window): every source item of a user meets every target item."""
    testifying = np.minimum(interactions_of_user, cap)
    return int((testifying * np.diff(target.start)).sum())


def horizon(stored: StoredPair) -> int | None:
    """Return the latest time of any source event or positive target event; None without time."""
    seen = [] if stored.source_counts.time_range is None else [stored.source_counts.time_range[1]]
    last = stored.target.positives().last_time()
    return max([*seen, *([] if last is None else [last])], default=None)


def target_histories(log: EventLog, cap: int | None, *, timed: bool = False) -> TargetHistories:
    """Lay positive target events out by user, at most the `cap` latest items of each; with their times if `timed`.

    Without a cap there are at most `HISTORY_BOUND`.
    """
    cap = cap or HISTORY_BOUND
    interactions = np.bincount(log.user[log.starts_interaction()], minlength=len(log.users))
    if interactions.max(initial=0) > cap:
        log = log.take(cutoff_of(lambda: [log], interactions, cap).admits(log))
    new = log.starts_interaction()
    start = _starts(log.user[new], len(log.users))
    if not timed or log.time is None:
        return TargetHistories(start, log.item[new], np.zeros(1, np.int64), _NO_ITEMS, _NO_TIMES)
    order = np.lexsort((log.time, log.user))
    return TargetHistories(start, log.item[new], _starts(log.user, len(log.users)), log.item[order], log.time[order])


def _starts(user: npt.NDArray[np.int32], n_users: int) -> Int64:
    start = np.zeros(n_users + 1, np.int64)
    np.cumsum(np.bincount(user, minlength=n_users), out=start[1:])
    return start
