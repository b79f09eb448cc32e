"""A translation that was fitted on whole logs, for the users and source items of one part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalr.engines.spark.cluster.part import PartPair, chosen_rows
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
    """`Cutoff` of the target users, with source items by their keys: codes are different in every part.

    Attributes:
        time: Shape (n_users,); see `Cutoff`.
        item: Shape (n_users,), keys.
    """

    time: Int64
    item: Keys

    def for_part(self, part: PartPair) -> Cutoff:
        """Return the cutoffs of the part's users, items as the part's codes."""
        known, place = part.place >= 0, np.maximum(part.place, 0)
        time = np.where(known, self.time[place], np.iinfo(np.int64).min)
        code = np.searchsorted(part.pair.source.items.keys, self.item[place], side="right") - 1
        return Cutoff(time, np.where(known, code, -1).astype(np.int32))


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A translation of whole logs, ready to be cut down to parts.

    Attributes:
        translation: It, by the codes of target users; its pair and cutoff are not used.
        cutoff: The cutoff of source histories; None where all items testify.
        categories: Categories of source items; None where nothing backs off to them.
        user_keys: Shape (n,), ascending keys of the source users that factors or lists belong to; None without these.
    """

    translation: Translation
    cutoff: KeyedCutoff | None = None
    categories: CategoryTable | None = None
    user_keys: Keys | None = None

    def over(self, pair: StoredPair) -> Fitted:
        """Return the same with another pair, for tasks that do not need the events of this one."""
        whole: Any = self.translation
        if isinstance(whole, ConditionedTranslation):
            return replace(self, translation=replace(whole, paths=replace(whole.paths, pair=pair)))
        if isinstance(whole, FactorTranslation):
            witnesses = None if whole.witnesses is None else replace(whole.witnesses, pair=pair)
            return replace(self, translation=replace(whole, pair=pair, witnesses=witnesses))
        return replace(self, translation=replace(whole, pair=pair))

    def for_part(self, part: PartPair) -> Translation:
        """Return the translation by the codes of a part."""
        whole: Any = self.translation
        if isinstance(whole, CooccurrenceTranslation):
            return self._paths(whole, part)
        if isinstance(whole, ConditionedTranslation):
            affinity = _affinity(whole.affinity, self._rows(part))
            return replace(whole, paths=self._paths(whole.paths, part), affinity=affinity)
        if isinstance(whole, FactorTranslation):
            witnesses = None if whole.witnesses is None else self._paths(whole.witnesses, part)
            lists = _lists(whole.lists, self._rows(part))
            return replace(whole, pair=part.pair, lists=lists, witnesses=witnesses, _sums={})
        if isinstance(whole, PopularityTranslation):
            start, index = chosen_rows(whole.everyone.target_start, part.place)
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
        mine = part.pair.source.users.keys
        at = np.minimum(np.searchsorted(self.user_keys, mine), len(self.user_keys) - 1)
        return np.where(self.user_keys[at] == mine, at, -1)

    def _backoff(self, backoff: Backoff, start: Int64, item: Codes, part: PartPair) -> Backoff:
        words, laws = part.pair.source.items, backoff.laws
        n_rows = len(laws.width)
        rows = np.full(len(words), n_rows - 1, np.int32) if self.categories is None else self.categories.rows_of(words)
        laws = laws._replace(row_of_item=rows)
        if len(laws.member_start):
            known = np.flatnonzero(part.place >= 0).astype(np.int32)
            at = np.searchsorted(part.place[known], laws.member)
            in_part = at < len(known)
            in_part[in_part] = part.place[known[at[in_part]]] == laws.member[in_part]
            before = np.concatenate([[0], np.cumsum(in_part)]).astype(np.int64)
            laws = laws._replace(member_start=before[laws.member_start], member=known[at[in_part]])
        return replace(backoff, laws=laws, target_start=start, target_item=item)


def _affinity(whole: UserAffinity, rows: Int64) -> UserAffinity:
    factors, share = whole.user_factors[np.maximum(rows, 0)], whole.own_share[np.maximum(rows, 0)]
    factors[rows < 0], share[rows < 0] = 0.0, 0.0
    return UserAffinity(factors, whole.item_factors, share, whole.rank)


def _lists(whole: Shortlists, rows: Int64) -> Shortlists:
    chosen = rows[rows >= 0]
    of_user = np.full(len(rows), -1, np.int32)
    of_user[rows >= 0] = np.arange(len(chosen), dtype=np.int32)
    return Shortlists(of_user, whole.item[chosen], whole.score[chosen], whole.total[chosen], whole.item_users)


def _histories(target: TargetHistories, place: Codes) -> tuple[TargetHistories, Int64]:
    start, rows = chosen_rows(target.start, place)
    if len(target.recent_start) == 1:  # no window
        return replace(target, start=start, item=target.item[rows]), rows
    recent_start, recent = chosen_rows(target.recent_start, place)
    item, time = target.recent_item[recent], target.recent_time[recent]
    return TargetHistories(start, target.item[rows], recent_start, item, time), rows
