"""Back-off smoothing for rare source items: item → category → popularity.

With n paths of other users for the source item j of category g, and m pseudo-paths,

    P(i | u, j) = (n P_j(i) + m P_g(i)) / (n + m),

where P_g, the distribution of users with any item of the category, is smoothed by popularity in the same way. All three
leave out the event's own user. This is Dirichlet smoothing (Zhai and Lafferty 2004, A Study of Smoothing Methods for
Language Models Applied to Information Retrieval), once per level.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from scalr.foundation import Codes, Floats, Int64, Mask, SampleSettings, rng
from scalr.logs import EventLog, StoredPair
from scalr.synthesis.kernels import backoff
from scalr.synthesis.kernels import category_laws as laws
from scalr.synthesis.kernels.category_laws import Laws
from scalr.synthesis.kernels.path_layout import Sampling
from scalr.synthesis.translators.history_caps import Cutoff
from scalr.synthesis.translators.protocol import NO_ITEM, Drawing, Draws, sampling_of

HELD_BITS = 1 << 30  # of (category, user) per block of categories; 128 MB
ALL_CONTRIBUTE = np.empty(0, np.bool_)
"""Mask of events whose users all add paths for others."""


class CountingDrawing(Drawing, Protocol):
    """A drawing along paths that also counts them."""

    def behind(self, event: Int64, item: Codes) -> Codes:
        """Return, shape (n,), the other users with the source item of each event and a target item, at least 0.

        Args:
            event: Shape (n,), places among `events`, ascending.
            item: Shape (n,), codes of target items.
        """

    def fork(self) -> CountingDrawing:
        """Return a copy with its own workspace, for another thread."""


@dataclass(frozen=True, slots=True, eq=False)
class Backoff:
    """The fitted wider laws.

    Attributes:
        pseudo_paths: Smoothing count of the wider law, above 0.
        laws: Counts of categories and of all users.
        target_start: Shape (n_users + 1,), start of each user's target items.
        target_item: Distinct target items by user, ascending within a user.
    """

    pseudo_paths: float
    laws: Laws
    target_start: Int64
    target_item: Codes

    @property
    def n_categories(self) -> int:
        """Return the number of categories of source items."""
        return len(self.laws.width) - 1

    def over(
        self,
        inner: CountingDrawing,
        contributes: Mask,
        settings: SampleSettings,
        *,
        seed: int,
        most: int,
        least: int = 1,
    ) -> BackoffDrawing:
        """Return a drawing that backs off where the source items of another drawing have few paths.

        Args:
            inner: Draws along the paths of the source items.
            contributes: Shape (n,), whether each event's user adds paths for others; or (0,) if all do.
            settings: Those of `inner`.
            seed: Any integer.
            most: Upper bound on `last - first` in `draw`.
            least: Draws with fewer other users behind (source item, item) are removed, whatever law they come from.
        """
        log, sampling = inner.events, sampling_of(settings)
        return BackoffDrawing(
            inner=inner,
            fitted=self,
            source=backoff.Events(log.user, log.item, contributes, self.target_start, self.target_item),
            sampling=sampling,
            cumulative=laws.sum_levels(self.laws, sampling.power, sampling.min_support),
            stream=rng.stream(seed, rng.Purpose.BACKOFF),
            most=most,
            least=least,
        )

    def mixed(
        self, log: EventLog, contributes: Mask, event: Int64, item: Codes, n_paths: Int64, behind: Codes
    ) -> Floats:
        """Return P(i | u, j) at temperature 1 without minimum support, shape (n,); 0 where there are no other users.

        Args:
            log: Positive source events by item.
            contributes: Shape (events,), or (0,) if all do.
            event: Shape (n,), places in `log`, ascending.
            item: Shape (n,), target items.
            n_paths: Shape (n,), paths of other users for the event.
            behind: Shape (n,), those of them that lead to the item.
        """
        contributes = contributes[event] if len(contributes) else contributes
        rows = backoff.Events(log.user[event], log.item[event], contributes, self.target_start, self.target_item)
        confidence = np.empty(len(item), np.float32)
        lookup = backoff.make_lookup(len(self.laws.popularity))
        backoff.smooth_confidence(
            self.laws, rows, self.pseudo_paths, (0, len(item)), 1, lookup, item, n_paths, behind, confidence
        )
        return np.nan_to_num(confidence, nan=0.0).astype(np.float64)  # 0 / 0: no other user has any target item


@dataclass(slots=True, eq=False)
class BackoffDrawing:
    """Draws along paths, and for source items with few paths from the wider laws; see `Drawing`.

    Strategy `sample` replaces each draw with probability m / (n + m). Strategy `topk` replaces none and only fills
    empty places: with the items of most users of the category, then with the most popular ones. Temperature and minimum
    support apply within each law; an item law that is empty after minimum support has n = 0. Confidence is P(i | u, j)
    at temperature 1 without minimum support, whatever law a draw comes from. Support is that of the law: other users
    with (source item, item), with (category, item), or with the item. If `least` is above 1, draws with fewer users
    behind (source item, item) are removed and support is that number.

    Args:
        inner: Draws along the paths of the source items.
        fitted: The wider laws.
        source: The source events of `inner`.
        sampling: Draws, power and minimum support.
        cumulative: From `sum_levels` for the same power and minimum support.
        stream: Key of seed and purpose.
        most: Upper bound on `last - first` in `draw`.
        least: See above.
    """

    inner: CountingDrawing
    fitted: Backoff
    source: backoff.Events
    sampling: Sampling
    cumulative: Floats
    stream: np.uint64
    most: int
    least: int
    _provenance: backoff.Provenance = field(init=False)
    _behind: Codes = field(init=False)
    _lookup: backoff.Lookup = field(init=False)

    def __post_init__(self) -> None:
        n = self.most * self.sampling.draws
        self._provenance = backoff.Provenance(np.empty(n, np.int8), np.empty(n, np.int64))
        self._behind = np.empty(n, np.int32)
        self._lookup = backoff.make_lookup(len(self.fitted.laws.popularity))

    @property
    def events(self) -> EventLog:
        """Return the positive source events, by item."""
        return self.inner.events

    def fork(self) -> BackoffDrawing:
        """Return a copy with its own workspace, for another thread."""
        return replace(self, inner=self.inner.fork())

    def draw(self, first: int, last: int) -> Draws:
        """Draw for events [first, last); see `Drawing.draw`."""
        drawn, rows, fitted = self.inner.draw(first, last), (first, last), self.fitted
        item, n = drawn.item, len(drawn.item)
        provenance = backoff.Provenance(self._provenance.level[:n], self._provenance.n_paths[:n])
        if self.sampling.is_top:
            backoff.fill_top(fitted.laws, self.source, rows, self.sampling, self._lookup, drawn, provenance)
        else:
            backoff.back_off(
                fitted.laws,
                self.cumulative,
                self.source,
                fitted.pseudo_paths,
                rows,
                self.sampling,
                self.stream,
                drawn,
                provenance,
            )
        behind, is_wider = self._behind[:n], provenance.level != backoff.ITEM
        behind[:] = np.where(is_wider, 0, drawn.support)
        uncounted = np.flatnonzero(is_wider & (provenance.n_paths > 0) & (item != NO_ITEM))
        behind[uncounted] = self.inner.behind(first + uncounted // self.sampling.draws, item[uncounted])
        backoff.smooth_confidence(
            fitted.laws,
            self.source,
            fitted.pseudo_paths,
            rows,
            self.sampling.draws,
            self._lookup,
            item,
            provenance.n_paths,
            behind,
            drawn.confidence,
        )
        if self.least > 1:
            item[behind < self.least] = NO_ITEM
            drawn.support[:] = behind
        return drawn


def fit_backoff(
    stored: StoredPair, pseudo_paths: float, target_start: Int64, target_item: Codes, cutoff: Cutoff | None
) -> Backoff:
    """Count how many users of each category, and of all, have each target item.

    It takes 12 bytes for each (category, target item) that is not 0, and with a history cap 4 for each (category,
    user) besides.

    Args:
        stored: The logs; their item table tells the category of source items.
        pseudo_paths: What a wider law gets, above 0.
        target_start: Shape (n_users + 1,), where each user's target items start.
        target_item: Distinct target items by user (capped), ascending within a user.
        cutoff: Cutoff of source histories; None if they are not capped.

    Raises:
        SchemaError: If the item table's column `category` holds lists.
    """
    n_users, n_target = len(target_start) - 1, len(stored.target.items)
    category, n_categories = _categories(stored)
    row_of_item = np.where(category < 0, n_categories, category).astype(np.int32)
    tally, item, count = np.zeros(n_target, np.int32), np.empty(n_target, np.int32), np.empty(n_target, np.int32)
    rows: list[tuple[Codes, Codes]] = []
    members: list[Codes] | None = None if cutoff is None else []
    for bits in _groups(stored, cutoff, row_of_item, n_categories, n_users):
        n = laws.count_targets(bits, target_start, target_item, tally, item, count)
        rows.append((item[:n].copy(), count[:n].copy()))
        if members is not None:
            members.append(_places(bits, n_users))
    return Backoff(pseudo_paths, laws_of(row_of_item, rows, members, target_item, n_target), target_start, target_item)


def laws_of(
    row_of_item: Codes,
    rows: list[tuple[Codes, Codes]],
    members: list[Codes] | None,
    target_item: Codes,
    n_target: int,
) -> Laws:
    """Lay out the laws of categories, followed by popularity.

    Args:
        row_of_item: Shape (n_source,), row of each source item.
        rows: Per category its target items, ascending, and their users.
        members: Per category its users, ascending; None without a history cap.
        target_item: Distinct target items by user.
        n_target: Target items.
    """
    popularity = np.bincount(target_item, minlength=n_target).astype(np.int32)
    popular = np.flatnonzero(popularity).astype(np.int32)
    rows = [*rows, (popular, popularity[popular])]
    if members is not None:
        members = [*members, np.empty(0, np.int32)]  # nobody looks up the last group: all users are in it
    return _concatenated(row_of_item, rows, members, popularity)


def _categories(stored: StoredPair) -> tuple[Codes, int]:
    """Return the category of each source item, or -1, and the number of categories."""
    if stored.items is None:
        return np.full(len(stored.source.items), -1, np.int32), 0
    return stored.items.source_categories()


def _groups(
    stored: StoredPair, cutoff: Cutoff | None, row_of_item: Codes, n_categories: int, n_users: int
) -> Iterator[npt.NDArray[np.uint64]]:
    """Yield the users of each category, one bit per user; reads the source once per `HELD_BITS`."""
    words = n_users // 64 + 1
    at_once = max(1, HELD_BITS // (64 * words))
    for first in range(0, n_categories, at_once):
        last = min(first + at_once, n_categories)
        bits = np.zeros((last - first, words), np.uint64)
        for part in stored.source.parts():
            log = part.positives()
            contributes = ALL_CONTRIBUTE if cutoff is None else cutoff.admits(log)
            laws.mark_members(log.item, log.user, contributes, row_of_item, first, last, bits)
        yield from bits


def _places(bits: npt.NDArray[np.uint64], n_users: int) -> Codes:
    """Return the users with a bit of 1, ascending."""
    octets = bits.astype("<u8").view(np.uint8)
    return np.flatnonzero(np.unpackbits(octets, count=n_users, bitorder="little")).astype(np.int32)


def _concatenated(
    row_of_item: Codes, rows: list[tuple[Codes, Codes]], members: list[Codes] | None, popularity: Codes
) -> Laws:
    """Rank each row's items and concatenate the rows."""
    ranked, level_count, level_first, n_before = [], [], [], 0
    for item, count in rows:
        order = np.argsort(-count, kind="stable")
        ordered = count[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        ranked.append(item[order])
        level_count.append(ordered[starts])
        level_first.append(starts + n_before)
        n_before += len(item)
    return Laws(
        row_of_item=row_of_item,
        row_start=_starts(item for item, _ in rows),
        item=np.concatenate([item for item, _ in rows]),
        users=np.concatenate([count for _, count in rows]),
        ranked=np.concatenate(ranked),
        level_start=_starts(level_count),
        level_count=np.concatenate(level_count),
        level_first=np.append(np.concatenate(level_first), n_before),
        popularity=popularity,
        width=np.array([count.sum(dtype=np.int64) for _, count in rows]),
        member_start=np.empty(0, np.int64) if members is None else _starts(members),
        member=np.empty(0, np.int32) if members is None else np.concatenate(members),
    )


def _starts(rows: Iterable[Codes]) -> Int64:
    return np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
