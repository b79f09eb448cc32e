"""Co-occurrence as paths: P(i | j) in proportion to the users, other than the event's own, who have both i and j.

The paper's estimator (arXiv 2606.00282): it counts users, not events. Normalised over target items, it is the
distribution of the end of a uniformly drawn path (source item -> overlap user -> target item). Drawing paths needs no
table of counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from scalr.foundation import (
    Codes,
    Floats,
    Int64,
    Receipt,
    SampleSettings,
    SchemaError,
    Stopwatch,
    TranslateSettings,
    rng,
)
from scalr.logs import MICROSECONDS_PER_DAY, EventLog, Pair, StoredPair
from scalr.synthesis.kernels import path_layout as layout
from scalr.synthesis.kernels.path_layout import Paths, Sampling, Workspace
from scalr.synthesis.kernels.path_probability import count_queried
from scalr.synthesis.kernels.uniform_paths import count_users_behind, draw_uniform_paths
from scalr.synthesis.kernels.weighted_items import draw_weighted_items
from scalr.synthesis.translators.backoff import ALL_CONTRIBUTE, Backoff, fit_backoff
from scalr.synthesis.translators.history_caps import HISTORY_BOUND, Cutoff, cutoff_of
from scalr.synthesis.translators.protocol import Drawing, Draws, sampling_of, supported
from scalr.synthesis.translators.queries import Queries, source_events

_NO_TIMES, _NO_ITEMS = np.empty(0, np.int64), np.empty(0, np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class TargetHistories:
    """Distinct target items of every user, ascending; with a window also their events by time."""

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
        joined, settings = self.join_source(source), supported(settings, self.least)
        drawing = PathDrawing(joined, settings, rng.stream(seed, rng.Purpose.DRAW), most)
        if self.backoff is None:
            return drawing
        return self.backoff.over(drawing, joined.paths.contributes, settings, seed=seed, most=most, least=self.least)

    def join_source(self, source: EventLog) -> SourcePaths:
        """Return the paths of some source items; `source` must hold all their events."""
        log, target = source.positives(), self.target
        first_item = int(log.item[0]) if len(log) else 0
        n_items = int(log.item[-1]) - first_item + 1 if len(log) else 0
        start = np.zeros(n_items + 1, np.int64)
        np.cumsum(np.bincount(log.item - first_item, minlength=n_items), out=start[1:])
        paths = Paths(
            user=log.user,
            contributes=ALL_CONTRIBUTE if self.cutoff is None else self.cutoff.admits(log),
            time=_NO_TIMES if log.time is None else log.time,
            item_start=start,
            target_start=target.start,
            target_item=target.item,
            recent_start=target.recent_start,
            recent_item=target.recent_item,
            recent_time=target.recent_time,
            window=self.window,
        )
        n_paths = layout.count_paths(paths.user, paths.contributes, start, target.start)
        max_events, max_paths = int(np.diff(start).max(initial=0)), int(n_paths.max(initial=0))
        return SourcePaths(log, paths, max_events, max_paths, len(self.pair.target.items))

    def probability(self, user: Codes, item: Codes) -> Floats:
        """Return P(item | user); see `Translation.probability`. With back-off it is that of the mixture."""
        stored = StoredPair.from_pair(self.pair)
        queries = Queries.from_pairs(user, item, len(stored.target.users))
        total = np.zeros(len(item))
        for part in stored.source.parts():
            joined = self.join_source(part)
            queries.add_events(joined.events, self._event_probability(joined), total)
        return queries.means(total, source_events(stored))

    def confidence(self, joined: SourcePaths, event: Int64, item: Codes, behind: Codes, n_paths: Int64) -> Floats:
        """Return the confidence of pairs from their counts, shape (n,), without regard to minimum support.

        Args:
            joined: Paths of the source items.
            event: Shape (n,), events, ascending.
            item: Shape (n,), target items.
            behind: Shape (n,), as from `SourcePaths.counter`.
            n_paths: Shape (n,), likewise.
        """
        if self.backoff is None:
            return behind / np.maximum(n_paths, 1)
        return self.backoff.mixed(joined.events, joined.paths.contributes, event, item, n_paths, behind)

    def _event_probability(self, joined: SourcePaths) -> Callable[[Int64, Codes], Floats]:
        count = joined.counter()

        def probability(event: Int64, item: Codes) -> Floats:
            behind, n_paths = count(event, item)
            share = self.confidence(joined, event, item, behind, n_paths)
            return share if self.least == 1 else np.where(behind >= self.least, share, 0.0)

        return probability


@dataclass(frozen=True, slots=True, eq=False)
class SourcePaths:
    """All paths of some source items.

    Attributes:
        events: Positive events of the source items, by item.
        paths: The paths.
        max_events: Most events of one source item.
        max_paths: Most paths of one source item, before any window.
        n_target: Number of target items.
    """

    events: EventLog
    paths: Paths
    max_events: int
    max_paths: int
    n_target: int

    def workspace(self, *, weighted: bool = False) -> Workspace:
        """Return a new workspace for these paths; see `make_workspace`."""
        return layout.make_workspace(self.max_events, self.max_paths, self.n_target, weighted=weighted)

    def counter(self) -> Callable[[Int64, Codes], tuple[Codes, Int64]]:
        """Return a function that counts the paths of other users.

        It maps events (ascending) and target items, shape (n,) each, to the number of paths that lead to the item,
        which is a number of users, and the number of all paths of the event, shape (n,) each.
        """
        workspace = self.workspace()

        def count(event: Int64, item: Codes) -> tuple[Codes, Int64]:
            behind, n_paths = np.empty(len(item), np.int32), np.empty(len(item), np.int64)
            count_queried(workspace, self.paths, event, item, behind, n_paths)
            return behind, n_paths

        return count


@dataclass(slots=True, eq=False)
class PathDrawing:
    """Draws along the paths of some source items; see `Drawing`.

    Args:
        source: The paths.
        settings: Draws per event, strategy, temperature and minimum support.
        stream: Key of seed and purpose.
        most: Upper bound on `last - first` in `draw`.
    """

    source: SourcePaths
    settings: SampleSettings
    stream: np.uint64
    most: int
    _sampling: Sampling = field(init=False)
    _workspace: Workspace = field(init=False)
    _count_workspace: Workspace | None = field(init=False)
    _buffer: Draws = field(init=False)

    def __post_init__(self) -> None:
        self._sampling = sampling_of(self.settings)
        self._workspace = self.source.workspace(weighted=not self._is_uniform)
        self._count_workspace = self._workspace if self._is_uniform else None
        self._buffer = Draws.allocate(self.most * self._sampling.draws)

    @property
    def events(self) -> EventLog:
        """Return the positive source events, by item."""
        return self.source.events

    @property
    def _is_uniform(self) -> bool:
        """Whether all paths have the same probability."""
        sampling = self._sampling
        return not sampling.is_top and sampling.power == 1.0 and sampling.min_support == 1

    def fork(self) -> PathDrawing:
        """Return a copy with its own workspace, for another thread."""
        return replace(self)

    def draw(self, first: int, last: int) -> Draws:
        """Draw for events [first, last); see `Drawing.draw`."""
        sampling, paths, rows = self._sampling, self.source.paths, (first, last)
        drawn = self._buffer.first((last - first) * sampling.draws, self.events.keys(first, last))
        if self._is_uniform:
            draw_uniform_paths(self._workspace, paths, rows, sampling.draws, self.stream, drawn)
        else:
            draw_weighted_items(self._workspace, paths, rows, sampling, self.stream, drawn)
        return drawn

    def behind(self, event: Int64, item: Codes) -> Codes:
        """Return, shape (n,), the other users with the source item of each event and a target item, at least 0.

        Args:
            event: Shape (n,), places among `events`, ascending.
            item: Shape (n,), codes of target items.
        """
        if self._count_workspace is None:  # weighted draws need a different layout and reuse it
            self._count_workspace = self.source.workspace()
        return count_users_behind(self._count_workspace, self.source.paths, event, item, self._sampling.draws)


def fit_cooccurrence(pair: Pair | StoredPair, settings: TranslateSettings) -> CooccurrenceTranslation:
    """Lay out target histories by user, and fit the laws of categories if rare items back off to them.

    Raises:
        SchemaError: If there is a window and a log has no time, or the item table's `category` holds lists.
    """
    stored = StoredPair.from_pair(pair)
    check_window(settings, timed=stored.source.time is not None and stored.target.time is not None)
    target_log, cap = stored.target.positives(), settings.history_cap or HISTORY_BOUND
    with Stopwatch() as watch:
        target = target_histories(target_log, cap, timed=settings.window_days is not None)
        cutoff = cutoff_of_source(stored, cap)
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
    """Check that a window is only set if both logs have times.

    Raises:
        SchemaError: If there is a window without times.
    """
    if settings.window_days is not None and not timed:
        raise SchemaError(
            f"window_days is {settings.window_days}, but a log has no time column",
            expected="a time column in every log",
            fix="name it with --time COL, or remove `window_days`",
        )


def window_of(settings: TranslateSettings) -> int:
    """Return the window in microseconds, -1 for none."""
    return -1 if settings.window_days is None else round(settings.window_days * MICROSECONDS_PER_DAY)


def cutoff_of_source(stored: StoredPair, cap: int) -> Cutoff | None:
    """Return the cutoff of source histories longer than `cap`; None if there are none."""
    if stored.source_counts.interactions_of_user.max(initial=0) <= cap:
        return None

    def positives() -> Iterator[EventLog]:
        return (part.positives() for part in stored.source.parts())

    return cutoff_of(positives, stored.source_counts.interactions_of_user, cap)


def _count_paths(interactions_of_user: Int64, target: TargetHistories, cap: int) -> int:
    """Count all paths before any window: the pairs of a source item and a target item of the same user."""
    return int((np.minimum(interactions_of_user, cap) * np.diff(target.start)).sum())


def horizon(stored: StoredPair) -> int | None:
    """Return the latest time of all source events and positive target events; None without time."""
    source = None if stored.source_counts.time_range is None else stored.source_counts.time_range[1]
    times = [time for time in (source, stored.target.positives().last_time()) if time is not None]
    return max(times, default=None)


def target_histories(log: EventLog, cap: int | None, *, timed: bool = False) -> TargetHistories:
    """Lay out positive target events by user.

    Args:
        log: Target events.
        cap: Number of latest items per user; `HISTORY_BOUND` if None.
        timed: Whether to include the events with their times.
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
