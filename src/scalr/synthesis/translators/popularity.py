"""Controls that know nothing about source items: real popularity, and every item alike.

A translator that is no better than these has learned nothing that could be transferred. A window has no meaning for
them and is ignored. They look at no pair of items: a least number of other users (`privacy.k`) is one of users who
have the drawn item.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from scalr.foundation import (
    Codes,
    Floats,
    Receipt,
    SampleSettings,
    Stopwatch,
    TranslateSettings,
    hashing,
    pairs_in_log,
    rng,
)
from scalr.logs import EventLog, Pair, StoredPair
from scalr.synthesis.translators.backoff import Backoff, BackoffDrawing, fit_backoff
from scalr.synthesis.translators.cooccurrence import TargetHistories, horizon, target_histories
from scalr.synthesis.translators.protocol import NO_ITEM, Draws, supported
from scalr.synthesis.translators.queries import source_events

_ALL_TESTIFY = np.empty(0, np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class PopularityTranslation:
    """Users per target item; drawn from as source items without paths are that back off to popularity."""

    pair: Pair | StoredPair
    everyone: Backoff
    fitted_until: int | None
    receipt: Receipt
    least: int = 1

    def drawing(self, source: EventLog, settings: SampleSettings, *, seed: int, most: int) -> BackoffDrawing:
        """Draw by popularity, the event's own user left out; see `Translation.drawing`."""
        log, settings = source.positives(), supported(settings, self.least)
        nothing = NoPaths(log, settings.draws_per_event, most)
        return self.everyone.over(nothing, _ALL_TESTIFY, settings, seed=seed, most=most)

    def probability(self, user: Codes, item: Codes) -> Floats:
        """Return the share of the item in all interactions of others; see `Translation.probability`."""
        start, popularity = self.everyone.target_start, self.everyone.laws.popularity
        is_own = pairs_in_log(user, item, start, self.everyone.target_item)
        others = start[-1] - (start[user + 1] - start[user])
        share = (popularity[item] - is_own) / np.maximum(others, 1)
        is_known = _has_source_events(self.pair)[user] & (popularity[item] - is_own >= self.least)
        return np.where(is_known, share, 0.0)


class NoPaths:
    """A drawing whose source items have no paths, so that each draw is left to a wider law; see `Drawing`."""

    def __init__(self, events: EventLog, draws: int, most: int) -> None:
        self.events, self._given, self._draws = events, (events, draws, most), draws
        self._item, self._support = np.empty(most * draws, np.int32), np.zeros(most * draws, np.int32)
        self._confidence = np.zeros(most * draws, np.float32)

    def fork(self) -> NoPaths:
        """Return the same with a workspace of its own."""
        return NoPaths(*self._given)

    def draw(self, first: int, last: int) -> Draws:
        """Draw nothing for events [first, last)."""
        n = (last - first) * self._draws
        self._item[:n] = NO_ITEM
        return Draws(self.events.keys(first, last), self._item[:n], self._confidence[:n], self._support[:n])

    def behind(self, event: npt.NDArray[np.int64], item: Codes) -> npt.NDArray[np.int32]:
        """Return zeros, shape (n,)."""
        return np.zeros(len(event), np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class RandomTranslation:
    """The catalogue: target items that somebody has."""

    pair: Pair | StoredPair
    target: TargetHistories
    popularity: Codes
    fitted_until: int | None
    receipt: Receipt
    least: int = 1

    def drawing(self, source: EventLog, settings: SampleSettings, *, seed: int, most: int) -> RandomDrawing:
        """Draw every item of the catalogue with the same probability; see `Translation.drawing`."""
        stream = rng.stream(seed, rng.Purpose.UNIFORM)
        return RandomDrawing(source.positives(), self, supported(settings, self.least), stream, most)

    def probability(self, user: Codes, item: Codes) -> Floats:
        """Return 1 / items of the catalogue; see `Translation.probability`."""
        n_catalogue = int(np.count_nonzero(self.popularity))
        least = self.popularity[item] - self.is_own(user, item) if self.least > 1 else self.popularity[item]
        is_known = _has_source_events(self.pair)[user] & (least >= self.least)
        return np.where(is_known, 1.0 / max(n_catalogue, 1), 0.0)

    def is_own(self, user: Codes, item: Codes) -> npt.NDArray[np.bool_]:
        """Say for each pair, shape (n,), whether the user has the item."""
        return pairs_in_log(user, item, self.target.start, self.target.item)


class RandomDrawing:
    """Draws from the catalogue; see `Drawing`. It may draw what the user has: nothing is known about anybody.

    Temperature changes nothing. The strategy `topk`, for which all items are equally good, draws distinct ones.
    """

    def __init__(
        self, events: EventLog, translation: RandomTranslation, settings: SampleSettings, stream: np.uint64, most: int
    ) -> None:
        self.events = events
        self._given = (events, translation, settings, stream, most)
        self._translation, self._settings, self._stream = translation, settings, stream
        self._catalogue = np.flatnonzero(translation.popularity >= max(settings.min_support, 1)).astype(np.int32)
        self._confidence = np.float32(1.0 / max(int(np.count_nonzero(translation.popularity)), 1))

    def fork(self) -> RandomDrawing:
        """Return the same for another thread."""
        return RandomDrawing(*self._given)

    def draw(self, first: int, last: int) -> Draws:
        """Draw for events [first, last); see `Drawing.draw`."""
        key, catalogue, draws = self.events.keys(first, last), self._catalogue, self._settings.draws_per_event
        shape = (last - first, draws)
        if not len(catalogue):
            nothing = np.zeros(shape[0] * draws, np.int32)
            return Draws(key, nothing + NO_ITEM, nothing.astype(np.float32), nothing)
        keys = hashing.combine_keys(np.full(len(key), self._stream), key)
        if self._settings.strategy == "topk":  # one after another, from a place that is drawn
            place = (hashing.units(keys, 0) * len(catalogue)).astype(np.int64)[:, None] + np.arange(draws)
            item = catalogue[place % len(catalogue)]
            item[:, len(catalogue) :] = NO_ITEM
        else:
            item = np.empty(shape, np.int32)
            for number in range(draws):
                item[:, number] = catalogue[(hashing.units(keys, number) * len(catalogue)).astype(np.int64)]
        user = np.repeat(self.events.user[first:last], draws)
        flat = item.ravel()
        translation = self._translation
        support = translation.popularity[flat] - translation.is_own(user, flat)
        if translation.least > 1:
            flat = np.where(support >= translation.least, flat, np.int32(NO_ITEM))
        confidence = np.full(len(flat), self._confidence)
        return Draws(key, flat, confidence, np.maximum(support, 1).astype(np.int32))


def fit_popularity(pair: Pair | StoredPair, settings: TranslateSettings) -> PopularityTranslation:
    """Count the users of every target item; a cap on histories holds, the other settings have no meaning here."""
    stored = StoredPair.from_pair(pair)
    with Stopwatch() as watch:
        target = target_histories(stored.target.positives(), settings.history_cap)
        everyone = fit_backoff(replace(stored, items=None), 1.0, target.start, target.item, None)
    receipt = watch.receipt("fit", len(stored.target), len(target.item), translator="popularity")
    return PopularityTranslation(pair, everyone, horizon(stored), receipt, settings.privacy.k)


def fit_random(pair: Pair | StoredPair, settings: TranslateSettings) -> RandomTranslation:
    """Find the target items that somebody has; no setting has a meaning here."""
    stored = StoredPair.from_pair(pair)
    with Stopwatch() as watch:
        target = target_histories(stored.target.positives(), None)
        popularity = np.bincount(target.item, minlength=len(stored.target.items)).astype(np.int32)
    receipt = watch.receipt("fit", len(stored.target), int(np.count_nonzero(popularity)), translator="random")
    return RandomTranslation(pair, target, popularity, horizon(stored), receipt, settings.privacy.k)


def _has_source_events(pair: Pair | StoredPair) -> npt.NDArray[np.bool_]:
    return source_events(StoredPair.from_pair(pair)) > 0
