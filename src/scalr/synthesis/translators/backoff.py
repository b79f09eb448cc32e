"""Back-off for thin source items: item → category → popularity.

With n paths of other users behind the source item j of category g, and m pseudo-paths,

    P(i | u, j) = (n P_j(i) + m P_g(i)) / (n + m),

where P_g, the law of users who have any item of the category, is mixed with popularity in the same way. The event's
own user is left out of all three. This is interpolation with a Dirichlet prior (Zhai and Lafferty 2004, A Study of
Smoothing Methods for Language Models Applied to Information Retrieval), once per level.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from scalr.foundation import Codes, Floats, Int64, Mask, SampleSettings, rng
from scalr.logs import EventLog, StoredPair
from scalr.synthesis.kernels import backoff
from scalr.synthesis.kernels import category_laws as laws
from scalr.synthesis.kernels.category_laws import Laws
from scalr.synthesis.translators.history_caps import Cutoff
from scalr.synthesis.translators.protocol import NO_ITEM, Drawing, Draws

HELD_BITS = 1 << 30  # of (category, user) that are looked at together; 128 MB
_ALL_TESTIFY = np.empty(0, np.bool_)


class CountingDrawing(Drawing, Protocol):
    """A drawing along paths that can also count them."""

    def behind(self, event: Int64, item: Codes) -> npt.NDArray[np.int32]:
        """Return, shape (n,), the other users behind the source item of each event and a target item, at least 0.

        Args:
            event: Shape (n,), places among `events`, ascending.
            item: Shape (n,), codes of target items.
        """

    def fork(self) -> CountingDrawing:
        """Return the same for another thread."""


@dataclass(frozen=True, slots=True, eq=False)
class Backoff:
    """The wider laws, fitted.

    Attributes:
        pseudo_paths: What a wider law gets, above 0.
        laws: Counts of categories, and of everyone.
        target_start: Shape (n_users + 1,), where each user's target items start.
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
        self, inner: CountingDrawing, testifies: Mask, settings: SampleSettings, *, seed: int, most: int, least: int = 1
    ) -> BackoffDrawing:
        """Return a drawing that backs off where the source items of another one have few paths.

        Args:
            inner: Draws along the paths of the source items.
            testifies: Shape (n,), whether each event's user lends its target items to others; or (0,) where all do.
            settings: Those of `inner`.
            seed: Any integer.
            most: Events that are asked for at a time, at most.
            least: Draws with fewer other users behind (source item, item) are left out, whatever level they come from.
        """
        log = inner.events
        events = backoff.Events(log.user, log.item, testifies, self.target_start, self.target_item)
        power = 1.0 / settings.temperature
        cumulative = laws.sum_levels(self.laws, power, settings.min_support)
        stream = rng.stream(seed, rng.Purpose.BACKOFF)
        return BackoffDrawing(inner, self, events, settings, cumulative, stream, most, least)

    def mixed(self, log: EventLog, testifies: Mask, event: Int64, item: Codes, paths: Int64, behind: Codes) -> Floats:
        """Return P(i | u, j) at temperature 1 without minimum support, shape (n,); 0 where there are no other users.

        Args:
            log: Positive source events by item.
            testifies: Shape (events,), or (0,) where all do.
            event: Shape (n,), places in `log`, ascending.
            item: Shape (n,), target items.
            paths: Shape (n,), paths of other users behind the event.
            behind: Shape (n,), those of them that lead to the item.
        """
        testifies = testifies[event] if len(testifies) else testifies
        rows = backoff.Events(log.user[event], log.item[event], testifies, self.target_start, self.target_item)
        confidence = np.empty(len(item), np.float32)
        lookup = backoff.make_lookup(len(self.laws.popularity))
        backoff.smooth_confidence(
            self.laws, rows, self.pseudo_paths, (0, len(item)), 1, lookup, item, paths, behind, confidence
        )
        return np.nan_to_num(confidence, nan=0.0).astype(np.float64)  # 0 / 0: nobody else has any target item


class BackoffDrawing:
    """Draws along paths, and where a source item has few of them, from the wider laws; see `Drawing`.

    Strategy `sample` replaces each draw with probability m / (n + m). Strategy `topk` replaces none and only fills
    what the paths leave empty: with the items that most users of the category have, then with the most popular ones.
    Temperature and minimum support hold within each law; an item law that minimum support leaves empty has n = 0.
    Confidence is P(i | u, j) at temperature 1 without minimum support, whatever level a draw comes from. Support is
    that of the level: users behind (source item, item), behind (category, item), or behind the item. Where a least
    number of users behind (source item, item) is asked for, draws below it are left out and support is that number.
    """

    def __init__(
        self,
        inner: CountingDrawing,
        fitted: Backoff,
        events: backoff.Events,
        settings: SampleSettings,
        cumulative: npt.NDArray[np.float64],
        stream: np.uint64,
        most: int,
        least: int,
    ) -> None:
        self._inner, self._given = inner, (fitted, events, settings, cumulative, stream, most, least)
        self._least = least
        self._fitted, self._events, self._settings = fitted, events, settings
        self._cumulative, self._stream, self._is_top = cumulative, stream, settings.strategy == "topk"
        rows = most * settings.draws_per_event
        self._origin, self._paths = np.empty(rows, np.int8), np.empty(rows, np.int64)
        self._behind = np.empty(rows, np.int32)
        self._lookup = backoff.make_lookup(len(fitted.laws.popularity))

    @property
    def events(self) -> EventLog:
        """Return the positive source events, by item."""
        return self._inner.events

    def fork(self) -> BackoffDrawing:
        """Return the same for another thread."""
        return BackoffDrawing(self._inner.fork(), *self._given)

    def draw(self, first: int, last: int) -> Draws:
        """Draw for events [first, last); see `Drawing.draw`."""
        drawn, settings, fitted = self._inner.draw(first, last), self._settings, self._fitted
        draws, rows, item, confidence, support = (
            settings.draws_per_event, (first, last), drawn.item, drawn.confidence, drawn.support,
        )  # fmt: skip
        n = len(item)
        origin, paths, behind = self._origin[:n], self._paths[:n], self._behind[:n]
        if self._is_top:
            backoff.fill_top(
                fitted.laws, self._events, settings.min_support, rows, draws, self._lookup,
                item, confidence, support, origin, paths,
            )  # fmt: skip
        else:
            backoff.back_off(
                fitted.laws, self._cumulative, self._events, fitted.pseudo_paths, 1.0 / settings.temperature,
                settings.min_support, rows, draws, self._stream, drawn.key, item, confidence, support, origin, paths,
            )  # fmt: skip
        behind[:] = np.where(origin == backoff.ITEM, support, 0)
        unknown = np.flatnonzero((origin != backoff.ITEM) & (paths > 0) & (item != NO_ITEM))
        behind[unknown] = self._inner.behind(first + unknown // draws, item[unknown])
        backoff.smooth_confidence(
            fitted.laws, self._events, fitted.pseudo_paths, rows, draws, self._lookup, item, paths, behind, confidence
        )
        if self._least > 1:
            item[behind < self._least] = NO_ITEM
            support[:] = behind
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
        cutoff: Which source items testify where histories are capped; None where all do.

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
    """Lay the laws of categories out, and popularity behind them.

    Args:
        row_of_item: Shape (n_source,), row of each source item.
        rows: Per category its target items, ascending, and their users.
        members: Per category its users, ascending; None where nobody asks.
        target_item: Distinct target items by user.
        n_target: Target items.
    """
    popularity = np.bincount(target_item, minlength=n_target).astype(np.int32)
    popular = np.flatnonzero(popularity).astype(np.int32)
    rows = [*rows, (popular, popularity[popular])]
    if members is not None:
        members = [*members, np.empty(0, np.int32)]  # everyone is in the last group without being asked
    return _laid_out(row_of_item, rows, members, popularity)


def _categories(stored: StoredPair) -> tuple[Codes, int]:
    """Return the category of each source item, or -1, and how many there are."""
    if stored.items is None:
        return np.full(len(stored.source.items), -1, np.int32), 0
    return stored.items.source_categories()


def _groups(
    stored: StoredPair, cutoff: Cutoff | None, row_of_item: Codes, n_categories: int, n_users: int
) -> Iterator[npt.NDArray[np.uint64]]:
    """Yield the users of each category, one bit per user; as many passes over the source as memory asks for."""
    words = n_users // 64 + 1
    at_once = max(1, HELD_BITS // (64 * words))
    for first in range(0, n_categories, at_once):
        last = min(first + at_once, n_categories)
        bits = np.zeros((last - first, words), np.uint64)
        for part in stored.source.parts():
            log = part.positives()
            testifies = _ALL_TESTIFY if cutoff is None else cutoff.admits(log)
            laws.mark_members(log.item, log.user, testifies, row_of_item, first, last, bits)
        yield from bits


def _places(bits: npt.NDArray[np.uint64], n_users: int) -> Codes:
    """Return the users whose bits are set, ascending."""
    octets = bits.astype("<u8").view(np.uint8)
    return np.flatnonzero(np.unpackbits(octets, count=n_users, bitorder="little")).astype(np.int32)


def _laid_out(
    row_of_item: Codes, rows: list[tuple[Codes, Codes]], members: list[Codes] | None, popularity: Codes
) -> Laws:
    """Rank each row's items and put the rows one after another."""
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
