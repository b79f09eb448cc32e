"""Restrict a translation that was fitted on whole logs to the users and source items of a part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalr.engines.spark.cluster.part import PartPair, rows_of_groups
from scalr.engines.spark.reading.target import CategoryTable
from scalr.foundation import Codes, Int64, Keys
from scalr.logs import StoredPair
from scalr.synthesis import (
    Backoff,
    ConditionedTranslation,
    CooccurrenceTranslation,
    Cutoff,
    FactorTranslation,
    PopularityTranslation,
    RandomTranslation,
    Shortlists,
    TargetHistories,
    Translation,
    UserAffinity,
)


@dataclass(frozen=True, slots=True, eq=False)
class KeyedCutoff:
    """`Cutoff` of the target users, with source items as keys, because codes differ from part to part.

    Attributes:
        time: Shape (n_users,); see `Cutoff`.
        item: Shape (n_users,), keys.
    """

    time: Int64
    item: Keys

    def for_part(self, part: PartPair) -> Cutoff:
        """Return the cutoffs of the part's users, with items as the part's codes."""
        is_known, place = part.place >= 0, np.maximum(part.place, 0)
        time = np.where(is_known, self.time[place], np.iinfo(np.int64).min)
        code = np.searchsorted(part.pair.source.items.keys, self.item[place], side="right") - 1
        return Cutoff(time, np.where(is_known, code, -1).astype(np.int32))


@dataclass(frozen=True, slots=True, eq=False)
class FittedTranslation:
    """A translation of whole logs, which `for_part` restricts to parts.

    Attributes:
        translation: The fitted translation, indexed by target-user code. Its `pair` and `cutoff` are ignored.
        cutoff: Cutoffs of source histories; None if all source items count.
        categories: Categories of source items; None without back-off to categories.
        user_keys: Shape (n,), ascending keys of the source users of factors or lists; None without these.
    """

    translation: Translation
    cutoff: KeyedCutoff | None = None
    categories: CategoryTable | None = None
    user_keys: Keys | None = None

    def over(self, pair: StoredPair) -> FittedTranslation:
        """Return a copy with another pair, for tasks that do not need the events of this pair."""
        whole: Any = self.translation
        if isinstance(whole, ConditionedTranslation):
            return replace(self, translation=replace(whole, paths=replace(whole.paths, pair=pair)))
        if isinstance(whole, FactorTranslation):
            cooccurrence = None if whole.cooccurrence is None else replace(whole.cooccurrence, pair=pair)
            return replace(self, translation=replace(whole, pair=pair, cooccurrence=cooccurrence))
        return replace(self, translation=replace(whole, pair=pair))

    def for_part(self, part: PartPair) -> Translation:
        """Return the translation in the codes of a part."""
        whole: Any = self.translation
        if isinstance(whole, CooccurrenceTranslation):
            return self._paths(whole, part)
        if isinstance(whole, ConditionedTranslation):
            affinity = _affinity(whole.affinity, self._rows(part))
            return replace(whole, paths=self._paths(whole.paths, part), affinity=affinity)
        if isinstance(whole, FactorTranslation):
            cooccurrence = None if whole.cooccurrence is None else self._paths(whole.cooccurrence, part)
            lists = _lists(whole.lists, self._rows(part))
            return replace(whole, pair=part.pair, lists=lists, cooccurrence=cooccurrence, _sums={})
        if isinstance(whole, PopularityTranslation):
            start, index = rows_of_groups(whole.everyone.target_start, part.place)
            everyone = self._backoff(whole.everyone, start, whole.everyone.target_item[index], part)
            return replace(whole, pair=part.pair, everyone=everyone)
        assert isinstance(whole, RandomTranslation)
        target, _ = _histories(whole.target, part.place)
        return replace(whole, pair=part.pair, target=target)

    def _paths(self, whole: CooccurrenceTranslation, part: PartPair) -> CooccurrenceTranslation:
        target, _ = _histories(whole.target, part.place)
        cutoff = None if self.cutoff is None else self.cutoff.for_part(part)
        backoff = None if whole.backoff is None else self._backoff(whole.backoff, target.start, target.item, part)
        return replace(whole, pair=part.pair, target=target, cutoff=cutoff, backoff=backoff)

    def _rows(self, part: PartPair) -> Int64:
        """Return the row of factors or lists of each user of a part, shape (n,); -1 for users without any."""
        assert self.user_keys is not None
        keys = part.pair.source.users.keys
        at = np.minimum(np.searchsorted(self.user_keys, keys), len(self.user_keys) - 1)
        return np.where(self.user_keys[at] == keys, at, -1)

    def _backoff(self, backoff: Backoff, start: Int64, item: Codes, part: PartPair) -> Backoff:
        words, laws = part.pair.source.items, backoff.laws
        n_rows = len(laws.width)
        rows = np.full(len(words), n_rows - 1, np.int32) if self.categories is None else self.categories.rows_of(words)
        laws = laws._replace(row_of_item=rows)
        if len(laws.member_start):
            users = np.flatnonzero(part.place >= 0).astype(np.int32)
            at = np.searchsorted(part.place[users], laws.member)
            in_part = at < len(users)
            in_part[in_part] = part.place[users[at[in_part]]] == laws.member[in_part]
            before = np.concatenate([[0], np.cumsum(in_part)]).astype(np.int64)
            laws = laws._replace(member_start=before[laws.member_start], member=users[at[in_part]])
        return replace(backoff, laws=laws, target_start=start, target_item=item)


def _affinity(whole: UserAffinity, rows: Int64) -> UserAffinity:
    factors, share = whole.user_factors[np.maximum(rows, 0)], whole.own_share[np.maximum(rows, 0)]
    factors[rows < 0], share[rows < 0] = 0.0, 0.0
    return UserAffinity(factors, whole.item_factors, share, whole.rank)


def _lists(whole: Shortlists, rows: Int64) -> Shortlists:
    present = rows[rows >= 0]
    of_user = np.full(len(rows), -1, np.int32)
    of_user[rows >= 0] = np.arange(len(present), dtype=np.int32)
    return Shortlists(of_user, whole.item[present], whole.score[present], whole.total[present], whole.item_users)


def _histories(target: TargetHistories, place: Codes) -> tuple[TargetHistories, Int64]:
    start, rows = rows_of_groups(target.start, place)
    if len(target.recent_start) == 1:  # no window
        return replace(target, start=start, item=target.item[rows]), rows
    recent_start, recent = rows_of_groups(target.recent_start, place)
    item, time = target.recent_item[recent], target.recent_time[recent]
    return TargetHistories(start, target.item[rows], recent_start, item, time), rows
