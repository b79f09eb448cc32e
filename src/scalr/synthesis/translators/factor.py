"""The user's affinity alone: P(i | u, j) in proportion to the score of i for u, over the nearest new items.

For catalogues so sparse that a source item has few paths or none. The source item has no say; it only says when.
Where a least number of other users is asked for (`privacy.k`), it also rules out the items of the list that fewer
users have together with it, although nothing was learnt from these pairs: what is written is the same for all
translators.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from scalr.foundation import Codes, Floats, Receipt, SampleSettings, Singles, Stopwatch, TranslateSettings, rng
from scalr.logs import EventLog, Pair, StoredPair
from scalr.synthesis.kernels import path_layout as layout
from scalr.synthesis.kernels import shortlists as shortlist
from scalr.synthesis.kernels import witnessed_lists as witnessed
from scalr.synthesis.translators.affinity import UserAffinity, fit_affinity
from scalr.synthesis.translators.cooccurrence import (
    CooccurrenceTranslation,
    SourceHalf,
    fit_cooccurrence,
    horizon,
    target_histories,
)
from scalr.synthesis.translators.protocol import Drawing, Draws
from scalr.synthesis.translators.queries import Asked, source_events

USERS_AT_ONCE = 256  # whose lists a thread makes at a time


@dataclass(frozen=True, slots=True, eq=False)
class Shortlists:
    """The nearest new target items of every user with source events.

    Attributes:
        of_user: Shape (n_users,), the user's list; -1 for none.
        item: Shape (lists, length), best first; `NO_ITEM` behind the end.
        score: Same shape, above 0; 0 behind the end.
        total: Shape (lists,), summed scores.
        item_users: Shape (n_target,), overlap users of each item.
    """

    of_user: Codes
    item: Codes
    score: Singles
    total: Singles
    item_users: Codes

    def cumulative(self, power: float, min_support: int) -> Singles:
        """Return running sums of score ** power along each list, shape (lists, length)."""
        sums = np.empty_like(self.score)
        shortlist.accumulate(self.item, self.score, self.item_users, power, min_support, sums)
        return sums


@dataclass(frozen=True, slots=True, eq=False)
class FactorTranslation:
    """Shortlists, ready to be drawn from; `witnesses` where only pairs with enough other users are drawn."""

    pair: Pair | StoredPair
    lists: Shortlists
    fitted_until: int | None
    receipt: Receipt
    witnesses: CooccurrenceTranslation | None = None
    _sums: dict[tuple[float, int], Singles] = field(default_factory=dict)

    def drawing(self, source: EventLog, settings: SampleSettings, *, seed: int, most: int) -> Drawing:
        """Look the lists of users up; see `Translation.drawing`."""
        if self.witnesses is not None:
            half, stream = self.witnesses.lay_out(source), rng.stream(seed, rng.Purpose.DRAW)
            return WitnessedDrawing(half, self.witnesses, self.lists, settings, stream, most)
        law = (1.0 / settings.temperature, settings.min_support)
        if law not in self._sums:  # of a few settings, for all parts of the source
            self._sums[law] = self.lists.cumulative(*law)
        stream = rng.stream(seed, rng.Purpose.DRAW)
        return FactorDrawing(source.positives(), self.lists, self._sums[law], settings, stream, most)

    def probability(self, user: Codes, item: Codes) -> Floats:
        """Return the share of items in the lists of users; see `Translation.probability`.

        A source event with which too few others have the item counts as 0.
        """
        if self.witnesses is None:
            return self._shares(user, item)
        stored = StoredPair.from_pair(self.pair)
        asked, total = Asked.of(user, item, len(stored.target.users)), np.zeros(len(item))
        for part in stored.source.parts():
            half = self.witnesses.lay_out(part)
            asked.look_up(half.events, self._told(half, self.witnesses), total)
        return asked.answer(total, source_events(stored))

    def _shares(self, user: Codes, item: Codes) -> Floats:
        return shortlist.listed_shares(
            user.astype(np.int32), item.astype(np.int32), self.lists.of_user, self.lists.item, self.lists.score,
            self.lists.total,
        )  # fmt: skip

    def _told(
        self, half: SourceHalf, witnesses: CooccurrenceTranslation
    ) -> Callable[[npt.NDArray[np.int64], Codes], Floats]:
        counted = witnesses.counting(half)

        def told(event: npt.NDArray[np.int64], item: Codes) -> Floats:
            behind, _ = counted(event, item)
            return np.where(behind >= witnesses.least, self._shares(half.events.user[event], item), 0.0)

        return told


class FactorDrawing:
    """Draws from the lists of users; see `Drawing`. With the strategy `topk` the first items of the list."""

    def __init__(
        self, events: EventLog, lists: Shortlists, sums: Singles, settings: SampleSettings, stream: np.uint64, most: int
    ) -> None:
        self.events = events
        self._given = (events, lists, sums, settings, stream, most)
        self._lists, self._sums, self._settings, self._stream = lists, sums, settings, stream
        rows = most * settings.draws_per_event
        self._item, self._support = np.empty(rows, np.int32), np.empty(rows, np.int32)
        self._confidence = np.empty(rows, np.float32)

    def fork(self) -> FactorDrawing:
        """Return the same with a workspace of its own."""
        return FactorDrawing(*self._given)

    def draw(self, first: int, last: int) -> Draws:
        """Draw for events [first, last); see `Drawing.draw`."""
        key, lists, settings = self.events.keys(first, last), self._lists, self._settings
        rows = (last - first) * settings.draws_per_event
        item, confidence, support = self._item[:rows], self._confidence[:rows], self._support[:rows]
        shortlist.draw_listed(
            self.events.user[first:last], key, self._stream, settings.draws_per_event, settings.strategy == "topk",
            settings.min_support, lists.of_user, lists.item, lists.score, lists.total, self._sums, lists.item_users,
            item, confidence, support,
        )  # fmt: skip
        return Draws(key, item, confidence, support)


class WitnessedDrawing:
    """Draws from the lists of users what enough others have together with the source item; see `Drawing`.

    Support counts the users of the item, as it does without: to publish the others of every pair would say more of
    people than the draws do.
    """

    def __init__(
        self, half: SourceHalf, witnesses: CooccurrenceTranslation, lists: Shortlists, settings: SampleSettings,
        stream: np.uint64, most: int,
    ) -> None:  # fmt: skip
        self.events = half.events
        self._given = (half, witnesses, lists, settings, stream, most)
        self._arguments, self._least = witnesses.path_arguments(half), max(settings.min_support, witnesses.least)
        self._lists, self._settings, self._stream = lists, settings, stream
        n_target = len(witnesses.pair.target.items)
        self._workspace = layout.make_workspace(half.max_events, half.max_paths, n_target, weighted=False)
        rows = most * settings.draws_per_event
        self._item, self._support = np.empty(rows, np.int32), np.empty(rows, np.int32)
        self._confidence = np.empty(rows, np.float32)

    def fork(self) -> WitnessedDrawing:
        """Return the same with a workspace of its own."""
        return WitnessedDrawing(*self._given)

    def draw(self, first: int, last: int) -> Draws:
        """Draw for events [first, last); see `Drawing.draw`."""
        key, lists, settings = self.events.keys(first, last), self._lists, self._settings
        rows = (last - first) * settings.draws_per_event
        item, confidence, support = self._item[:rows], self._confidence[:rows], self._support[:rows]
        given = (
            self._workspace, (first, last), settings.draws_per_event, self._stream, key, *self._arguments, item,
            confidence, support, 1.0 / settings.temperature, self._least, settings.strategy == "topk", lists.of_user,
            lists.item, lists.score, lists.total, lists.item_users,
        )  # fmt: skip
        witnessed.draw_witnessed(*given)
        return Draws(key, item, confidence, support)


def fit_factor(pair: Pair | StoredPair, settings: TranslateSettings) -> FactorTranslation:
    """Fit how near users are to target items, and list the nearest of each user that it does not have.

    A window has no meaning here and is ignored.
    """
    stored = StoredPair.from_pair(pair)
    with Stopwatch() as watch:
        target = target_histories(stored.target.positives(), settings.history_cap)
        affinity = fit_affinity(stored, target.start, target.item, settings.rank, settings.ridge, settings.fit_pairs)
        has_source = stored.source_counts.interactions_of_user > 0
        lists = shortlists_of(affinity, has_source, target.start, target.item, settings.shortlist)
        plain = witness_settings(settings)
        witnesses = None if plain is None else fit_cooccurrence(pair, plain)
    rows = len(stored.source) + len(stored.target)
    receipt = watch.receipt("fit", rows, int(np.count_nonzero(lists.score)), translator="factor")
    return FactorTranslation(pair, lists, horizon(stored), receipt, witnesses)


def witness_settings(settings: TranslateSettings) -> TranslateSettings | None:
    """Return the settings of the paths that are counted behind pairs; None where nobody asks how many there are."""
    return settings.model_copy(update={"window_days": None, "backoff": 0.0}) if settings.privacy.k > 1 else None


def shortlists_of(
    affinity: UserAffinity, has_source: npt.NDArray[np.bool_], target_start: npt.NDArray[np.int64], target_item: Codes,
    length: int,
) -> Shortlists:  # fmt: skip
    """List the nearest target items of users that they do not have.

    Args:
        affinity: How near users are to target items.
        has_source: Shape (n_users,), whether users have positive source events; others get no list.
        target_start: Shape (n_users + 1,), where each user's target items start.
        target_item: Distinct target items by user.
        length: Items of a list, at most.
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
        shortlist.nearest_items(rows, users, affinity.user_factors, columns, target_start, target_item, item, score)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(list_some, range(0, len(users), USERS_AT_ONCE)):
            pass
    owners = np.repeat(has_source, np.diff(target_start))
    item_users = np.bincount(target_item[owners], minlength=n_target).astype(np.int32)
    return Shortlists(of_user, item, score, score.sum(axis=1), item_users)
