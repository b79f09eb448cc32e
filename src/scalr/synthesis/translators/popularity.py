"""Baselines that ignore source items: real popularity, and a uniform distribution over items.

A translator that is not better than these transfers no information. A window is ignored. There are no pairs of items
here, so `privacy.k` is a least number of other users with the drawn item.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from scalr.foundation import (
    Codes,
    Floats,
    Int64,
    Keys,
    Mask,
    Receipt,
    SampleSettings,
    Stopwatch,
    TranslateSettings,
    hashing,
    pairs_in_log,
    rng,
)
from scalr.logs import EventLog, Pair, StoredPair
from scalr.synthesis.translators.backoff import ALL_CONTRIBUTE, Backoff, BackoffDrawing, fit_backoff
from scalr.synthesis.translators.cooccurrence import TargetHistories, horizon, target_histories
from scalr.synthesis.translators.protocol import NO_ITEM, Draws, supported
from scalr.synthesis.translators.queries import source_events


@dataclass(frozen=True, slots=True, eq=False)
class PopularityTranslation:
    """Users per target item; draws are those of source items without paths that back off to popularity."""

    pair: Pair | StoredPair
    everyone: Backoff
    fitted_until: int | None
    receipt: Receipt
    least: int = 1

    def drawing(self, source: EventLog, settings: SampleSettings, *, seed: int, most: int) -> BackoffDrawing:
        """Prepare draws by popularity, without the event's own user; see `Translation.drawing`."""
        log, settings = source.positives(), supported(settings, self.least)
        no_paths = NoPaths(log, settings.draws_per_event, most)
        return self.everyone.over(no_paths, ALL_CONTRIBUTE, settings, seed=seed, most=most)

    def probability(self, user: Codes, item: Codes) -> Floats:
        """Return the share of the item in all interactions of others; see `Translation.probability`."""
        start, popularity = self.everyone.target_start, self.everyone.laws.popularity
        is_own = pairs_in_log(user, item, start, self.everyone.target_item)
        others = start[-1] - (start[user + 1] - start[user])
        share = (popularity[item] - is_own) / np.maximum(others, 1)
        is_known = _has_source_events(self.pair)[user] & (popularity[item] - is_own >= self.least)
        return np.where(is_known, share, 0.0)


@dataclass(slots=True, eq=False)
class NoPaths:
    """A drawing for source items without paths, so that all draws come from wider laws; see `Drawing`.

    Args:
        events: Positive source events, by item.
        draws: Draws per event.
        most: Upper bound on `last - first` in `draw`.
    """

    events: EventLog
    draws: int
    most: int
    _buffer: Draws = field(init=False)

    def __post_init__(self) -> None:
        n = self.most * self.draws
        self._buffer = Draws(
            np.empty(0, np.uint64), np.empty(n, np.int32), np.zeros(n, np.float32), np.zeros(n, np.int32)
        )

    def fork(self) -> NoPaths:
        """Return a copy with its own workspace, for another thread."""
        return replace(self)

    def draw(self, first: int, last: int) -> Draws:
        """Draw nothing for events [first, last)."""
        drawn = self._buffer.first((last - first) * self.draws, self.events.keys(first, last))
        drawn.item[:] = NO_ITEM
        return drawn

    def behind(self, event: Int64, item: Codes) -> Codes:
        """Return zeros, shape (n,)."""
        return np.zeros(len(event), np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class RandomTranslation:
    """The catalogue: target items with at least one user."""

    pair: Pair | StoredPair
    target: TargetHistories
    popularity: Codes
    fitted_until: int | None
    receipt: Receipt
    least: int = 1

    def drawing(self, source: EventLog, settings: SampleSettings, *, seed: int, most: int) -> RandomDrawing:
        """Prepare uniform draws from the catalogue; see `Translation.drawing`."""
        stream = rng.stream(seed, rng.Purpose.UNIFORM)
        return RandomDrawing(source.positives(), self, supported(settings, self.least), stream)

    def probability(self, user: Codes, item: Codes) -> Floats:
        """Return 1 / (size of the catalogue); see `Translation.probability`."""
        n_catalogue = int(np.count_nonzero(self.popularity))
        least = self.popularity[item] - self.is_own(user, item) if self.least > 1 else self.popularity[item]
        is_known = _has_source_events(self.pair)[user] & (least >= self.least)
        return np.where(is_known, 1.0 / max(n_catalogue, 1), 0.0)

    def is_own(self, user: Codes, item: Codes) -> Mask:
        """Return for each pair, shape (n,), whether the user has the item."""
        return pairs_in_log(user, item, self.target.start, self.target.item)


@dataclass(slots=True, eq=False)
class RandomDrawing:
    """Uniform draws from the catalogue, including items that the user has; see `Drawing`.

    Temperature has no effect. With the strategy `topk` the draws of an event are distinct.
    """

    events: EventLog
    translation: RandomTranslation
    settings: SampleSettings
    stream: np.uint64
    _catalogue: Codes = field(init=False)

    def __post_init__(self) -> None:
        least = max(self.settings.min_support, 1)
        self._catalogue = np.flatnonzero(self.translation.popularity >= least).astype(np.int32)

    def fork(self) -> RandomDrawing:
        """Return a drawing for another thread; threads may share one."""
        return self

    def draw(self, first: int, last: int) -> Draws:
        """Draw for events [first, last); see `Drawing.draw`."""
        key, translation = self.events.keys(first, last), self.translation
        if not len(self._catalogue):
            empty = np.zeros((last - first) * self.settings.draws_per_event, np.int32)
            return Draws(key, empty + NO_ITEM, empty.astype(np.float32), empty)
        item = self._items(key)
        user = np.repeat(self.events.user[first:last], self.settings.draws_per_event)
        support = translation.popularity[item] - translation.is_own(user, item)
        if translation.least > 1:
            item = np.where(support >= translation.least, item, np.int32(NO_ITEM))
        n_catalogue = max(int(np.count_nonzero(translation.popularity)), 1)
        confidence = np.full(len(item), 1.0 / n_catalogue, np.float32)
        return Draws(key, item, confidence, np.maximum(support, 1).astype(np.int32))

    def _items(self, key: Keys) -> Codes:
        """Return items of the catalogue for the events with these keys, shape (events * draws,)."""
        draws, catalogue = self.settings.draws_per_event, self._catalogue
        keys = hashing.combine_keys(np.full(len(key), self.stream), key)
        if self.settings.strategy == "topk":  # consecutive items from a random place
            place = (hashing.units(keys, 0) * len(catalogue)).astype(np.int64)[:, None] + np.arange(draws)
            item = catalogue[place % len(catalogue)]
            item[:, len(catalogue) :] = NO_ITEM
        else:
            item = np.empty((len(key), draws), np.int32)
            for number in range(draws):
                item[:, number] = catalogue[(hashing.units(keys, number) * len(catalogue)).astype(np.int64)]
        flat: Codes = item.ravel()
        return flat


def fit_popularity(pair: Pair | StoredPair, settings: TranslateSettings) -> PopularityTranslation:
    """Count the users of every target item. The history cap applies; the other settings are ignored."""
    stored = StoredPair.from_pair(pair)
    with Stopwatch() as watch:
        target = target_histories(stored.target.positives(), settings.history_cap)
        everyone = fit_backoff(replace(stored, items=None), 1.0, target.start, target.item, None)
    receipt = watch.receipt("fit", len(stored.target), len(target.item), translator="popularity")
    return PopularityTranslation(pair, everyone, horizon(stored), receipt, settings.privacy.k)


def fit_random(pair: Pair | StoredPair, settings: TranslateSettings) -> RandomTranslation:
    """Find the target items with at least one user; all settings but `privacy.k` are ignored."""
    stored = StoredPair.from_pair(pair)
    with Stopwatch() as watch:
        target = target_histories(stored.target.positives(), None)
        popularity = np.bincount(target.item, minlength=len(stored.target.items)).astype(np.int32)
    receipt = watch.receipt("fit", len(stored.target), int(np.count_nonzero(popularity)), translator="random")
    return RandomTranslation(pair, target, popularity, horizon(stored), receipt, settings.privacy.k)


def _has_source_events(pair: Pair | StoredPair) -> Mask:
    return source_events(StoredPair.from_pair(pair)) > 0
