"""The user's affinity alone: P(i | u, j) is proportional to the score of i for u, over a shortlist of new items.

This is for catalogues so sparse that a source item has few paths or none. The source item has no effect on the draws.
With `privacy.k` above 1, though, items that fewer than k other users have together with the source item are excluded,
although the model does not use these pairs: the guarantee is the same for all translators.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from scalr.foundation import (
    Codes,
    Floats,
    Int64,
    Mask,
    Receipt,
    SampleSettings,
    Singles,
    Stopwatch,
    TranslateSettings,
    rng,
)
from scalr.logs import EventLog, Pair, StoredPair
from scalr.synthesis.kernels import shortlists as shortlist
from scalr.synthesis.kernels.candidate_choice import UserAffinity
from scalr.synthesis.kernels.path_layout import Workspace
from scalr.synthesis.kernels.shortlists import Shortlists
from scalr.synthesis.kernels.supported_lists import draw_supported
from scalr.synthesis.translators.affinity import fit_affinity
from scalr.synthesis.translators.cooccurrence import (
    CooccurrenceTranslation,
    SourcePaths,
    fit_cooccurrence,
    horizon,
    target_histories,
)
from scalr.synthesis.translators.protocol import Drawing, Draws, sampling_of, supported
from scalr.synthesis.translators.queries import Queries, source_events

USERS_AT_ONCE = 256  # per task of the thread pool


@dataclass(frozen=True, slots=True, eq=False)
class FactorTranslation:
    """Shortlists to draw from.

    Attributes:
        pair: The logs of the fit.
        lists: The shortlists.
        fitted_until: Latest time of all events of the fit; None without time.
        receipt: The receipt of the fit.
        cooccurrence: Counts other users behind pairs if `privacy.k` requires some; else None.
    """

    pair: Pair | StoredPair
    lists: Shortlists
    fitted_until: int | None
    receipt: Receipt
    cooccurrence: CooccurrenceTranslation | None = None
    _sums: dict[tuple[float, int], Singles] = field(default_factory=dict)

    def drawing(self, source: EventLog, settings: SampleSettings, *, seed: int, most: int) -> Drawing:
        """Prepare draws from the lists; see `Translation.drawing`."""
        stream = rng.stream(seed, rng.Purpose.DRAW)
        if self.cooccurrence is not None:
            settings = supported(settings, self.cooccurrence.least)
            return SupportedDrawing(self.cooccurrence.join_source(source), self.lists, settings, stream, most)
        law = (1.0 / settings.temperature, settings.min_support)
        if law not in self._sums:  # shared by all parts of the source
            sums = np.empty_like(self.lists.score)
            shortlist.accumulate(self.lists, *law, sums)
            self._sums[law] = sums
        return FactorDrawing(source.positives(), self.lists, self._sums[law], settings, stream, most)

    def probability(self, user: Codes, item: Codes) -> Floats:
        """Return the shares of items in the lists of users; see `Translation.probability`.

        If too few other users have the item together with a source event's item, that event counts as 0.
        """
        if self.cooccurrence is None:
            return self._shares(user, item)
        stored = StoredPair.from_pair(self.pair)
        queries, total = Queries.from_pairs(user, item, len(stored.target.users)), np.zeros(len(item))
        for part in stored.source.parts():
            joined = self.cooccurrence.join_source(part)
            queries.add_events(joined.events, self._event_probability(joined, self.cooccurrence.least), total)
        return queries.means(total, source_events(stored))

    def _shares(self, user: Codes, item: Codes) -> Floats:
        return shortlist.listed_shares(user.astype(np.int32), item.astype(np.int32), self.lists)

    def _event_probability(self, joined: SourcePaths, least: int) -> Callable[[Int64, Codes], Floats]:
        count = joined.counter()

        def probability(event: Int64, item: Codes) -> Floats:
            behind, _ = count(event, item)
            return np.where(behind >= least, self._shares(joined.events.user[event], item), 0.0)

        return probability


@dataclass(slots=True, eq=False)
class FactorDrawing:
    """Draws from the lists of users; see `Drawing`. The strategy `topk` takes the first items of the list.

    Args:
        events: Positive source events, by item.
        lists: The shortlists.
        sums: Shape (lists, length), cumulative weights.
        settings: Draws per event, strategy, temperature and minimum support.
        stream: Key of seed and purpose.
        most: Upper bound on `last - first` in `draw`.
    """

    events: EventLog
    lists: Shortlists
    sums: Singles
    settings: SampleSettings
    stream: np.uint64
    most: int
    _buffer: Draws = field(init=False)

    def __post_init__(self) -> None:
        self._buffer = Draws.allocate(self.most * self.settings.draws_per_event)

    def fork(self) -> FactorDrawing:
        """Return a copy with its own workspace, for another thread."""
        return replace(self)

    def draw(self, first: int, last: int) -> Draws:
        """Draw for events [first, last); see `Drawing.draw`."""
        sampling = sampling_of(self.settings)
        drawn = self._buffer.first((last - first) * sampling.draws, self.events.keys(first, last))
        shortlist.draw_listed(self.events.user[first:last], self.lists, self.sums, sampling, self.stream, drawn)
        return drawn


@dataclass(slots=True, eq=False)
class SupportedDrawing:
    """Draws from the lists of users, among items that enough others have with the source item; see `Drawing`.

    Support counts all users of the drawn item, as in `FactorDrawing`: the number of users with both items would reveal
    more about people than the draws do.

    Args:
        source: The paths that count users behind pairs.
        lists: The shortlists.
        settings: Draws per event, strategy, temperature and minimum support of pairs.
        stream: Key of seed and purpose.
        most: Upper bound on `last - first` in `draw`.
    """

    source: SourcePaths
    lists: Shortlists
    settings: SampleSettings
    stream: np.uint64
    most: int
    _workspace: Workspace = field(init=False)
    _buffer: Draws = field(init=False)

    def __post_init__(self) -> None:
        self._workspace = self.source.workspace()
        self._buffer = Draws.allocate(self.most * self.settings.draws_per_event)

    @property
    def events(self) -> EventLog:
        """Return the positive source events, by item."""
        return self.source.events

    def fork(self) -> SupportedDrawing:
        """Return a copy with its own workspace, for another thread."""
        return replace(self)

    def draw(self, first: int, last: int) -> Draws:
        """Draw for events [first, last); see `Drawing.draw`."""
        sampling = sampling_of(self.settings)
        drawn = self._buffer.first((last - first) * sampling.draws, self.events.keys(first, last))
        draw_supported(self._workspace, self.source.paths, (first, last), self.lists, sampling, self.stream, drawn)
        return drawn


def fit_factor(pair: Pair | StoredPair, settings: TranslateSettings) -> FactorTranslation:
    """Fit the affinity of users to target items, and list the best items of each user that the user does not have.

    A window is ignored.
    """
    stored = StoredPair.from_pair(pair)
    with Stopwatch() as watch:
        target = target_histories(stored.target.positives(), settings.history_cap)
        affinity = fit_affinity(stored, target.start, target.item, settings.rank, settings.ridge, settings.fit_pairs)
        has_source = stored.source_counts.interactions_of_user > 0
        lists = shortlists_of(affinity, has_source, target.start, target.item, settings.shortlist)
        plain = pair_count_settings(settings)
        cooccurrence = None if plain is None else fit_cooccurrence(pair, plain)
    rows = len(stored.source) + len(stored.target)
    receipt = watch.receipt("fit", rows, int(np.count_nonzero(lists.score)), translator="factor")
    return FactorTranslation(pair, lists, horizon(stored), receipt, cooccurrence)


def pair_count_settings(settings: TranslateSettings) -> TranslateSettings | None:
    """Return the settings of the paths that count other users behind pairs; None if no count is required."""
    return settings.model_copy(update={"window_days": None, "backoff": 0.0}) if settings.privacy.k > 1 else None


def shortlists_of(
    affinity: UserAffinity, has_source: Mask, target_start: Int64, target_item: Codes, length: int
) -> Shortlists:
    """List the target items with the highest affinity to each user that the user does not have.

    Args:
        affinity: Factors of users and items.
        has_source: Shape (n_users,), whether users have positive source events; others get no list.
        target_start: Shape (n_users + 1,), start of each user's target items.
        target_item: Distinct target items by user.
        length: Most items of a list.
    """
    n_users, n_target = len(has_source), len(affinity.item_factors)
    users = np.flatnonzero(has_source).astype(np.int32)
    of_user = np.full(n_users, -1, np.int32)
    of_user[users] = np.arange(len(users), dtype=np.int32)
    shape = (len(users), min(length, n_target))
    item, score = np.empty(shape, np.int32), np.empty(shape, np.float32)
    columns = np.ascontiguousarray(affinity.item_factors[:, : affinity.rank].T)

    def list_some(first: int) -> None:
        rows = (first, min(first + USERS_AT_ONCE, len(users)))
        shortlist.fill_shortlists(rows, users, affinity.user_factors, columns, target_start, target_item, item, score)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(list_some, range(0, len(users), USERS_AT_ONCE)):
            pass
    owners = np.repeat(has_source, np.diff(target_start))
    item_users = np.bincount(target_item[owners], minlength=n_target).astype(np.int32)
    return Shortlists(of_user, item, score, score.sum(axis=1), item_users)
