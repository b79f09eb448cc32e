"""What a report shows of synthetic events, gathered part by part: items and how often they were drawn, and examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from scalr.foundation import Floats, Int64, PrivacySettings
from scalr.logs import EventLog, catalogue_of
from scalr.synthesis.events import Rows, SyntheticEvents, joined, rows_of, taken
from scalr.synthesis.kernels.filtering import count_items
from scalr.synthesis.stages import confidence_lower_bound

EXAMPLE_SUPPORT = 5  # least users behind an example, so that a page shows no single person's pair
FEW_USERS = (3, 5)  # a report says what share of the events rests on fewer other users
MOST_EXAMPLES = 2_400  # the best events, of which a report takes those of different items and users


@dataclass(frozen=True, slots=True, eq=False)
class EventFacts:
    """Synthetic events in numbers, with the best of them.

    Attributes:
        seed: The seed of the draws.
        item_counts: Shape (n_items,), events of each target item.
        best: At most `MOST_EXAMPLES` events with `EXAMPLE_SUPPORT`, those whose source item says most about the
            target item first: by the lower bound of their confidence over the item's share of all real interactions.
        few: Events with fewer other users behind them than each of `FEW_USERS`.
    """

    seed: int
    item_counts: Int64
    best: Rows
    few: tuple[int, ...]

    def __len__(self) -> int:
        return int(self.item_counts.sum())

    def item_coverage(self, target: EventLog) -> float:
        """Return the share of the target items (with a positive event) that the events reach, in [0, 1]."""
        return int((self.item_counts > 0).sum()) / max(len(catalogue_of(target)), 1)


def resting_on_few(facts: EventFacts, privacy: PrivacySettings) -> dict[str, Any]:
    """Return what a manifest says of the people behind events; see `people_behind`."""
    return people_behind(len(facts), facts.few, privacy)


def people_behind(n: int, few_behind: Sequence[int], privacy: PrivacySettings) -> dict[str, Any]:
    """Return what was promised of the people behind `n` events, and who is behind them.

    `share_below` is the share of the events with fewer other users behind them, by that number; null without events.

    Args:
        n: Events, negative rows not counted.
        few_behind: Events with fewer other users behind them than each of `FEW_USERS`.
        privacy: What was promised.
    """
    shares = {str(least): few / n if n else None for least, few in zip(FEW_USERS, few_behind, strict=True)}
    promised = {} if privacy.epsilon is None else {"epsilon": privacy.epsilon, "delta": privacy.delta}
    return {"k": privacy.k, **promised, "share_below": shares}


def item_shares(target: EventLog) -> Floats:
    """Return each target item's share of all real interactions, shape (n_items,)."""
    real = target.positives()
    item = real.item[real.starts_interaction()]
    return np.bincount(item, minlength=len(target.items)) / max(len(item), 1)


class Gathering:
    """Gathers facts of events that come in order, part by part.

    Args:
        shares: See `item_shares`.
    """

    def __init__(self, shares: Floats) -> None:
        self._per_share = 1.0 / np.maximum(shares, 1e-12)
        self.item_counts: Int64 = np.zeros(len(shares), np.int64)
        self.few: Int64 = np.zeros(len(FEW_USERS), np.int64)
        self.best: Rows | None = None
        self.score: Floats = np.zeros(0)

    def add(self, rows: Rows) -> None:
        """Take the next events."""
        least = float(self.score[-1]) if len(self.score) == MOST_EXAMPLES else np.finfo(np.float64).tiny
        self.few += [np.count_nonzero(rows.support < least_users) for least_users in FEW_USERS]
        found = np.empty(len(rows), np.int64)
        n = count_items(
            rows.item, rows.confidence, rows.support, self._per_share, EXAMPLE_SUPPORT, least, self.item_counts, found
        )
        chosen = taken(rows, found[:n])
        bound = confidence_lower_bound(chosen.confidence, chosen.support) * self._per_share[chosen.item]
        self._merge(chosen, bound)

    def join(self, other: Gathering) -> None:
        """Take what was gathered of the events that come next."""
        self.item_counts += other.item_counts
        self.few += other.few
        if other.best is not None:
            self._merge(other.best, other.score)

    def state(self) -> dict[str, Any]:
        """Return what was gathered, as a value that `scalr.foundation.Checkpoints` can keep; see `from_state`."""
        items = np.flatnonzero(self.item_counts)  # few of a large catalogue
        best = None if self.best is None else {one.name: getattr(self.best, one.name) for one in fields(Rows)}
        counts = self.item_counts[items]
        return {"items": items, "item_counts": counts, "few": self.few, "score": self.score, "best": best}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], shares: Floats) -> Gathering:
        """Return the gathering that `state` was called on; `shares` as in the constructor."""
        gathering = cls(shares)
        gathering.item_counts[state["items"]] = state["item_counts"]
        gathering.few, gathering.score = state["few"], state["score"]
        gathering.best = None if state["best"] is None else Rows(**state["best"])
        return gathering

    def facts(self, seed: int) -> EventFacts:
        """Return what was gathered, once any events were added."""
        assert self.best is not None
        return EventFacts(seed, self.item_counts, self.best, tuple(map(int, self.few)))

    def _merge(self, rows: Rows, score: Floats) -> None:
        """Keep the best of those before and these; the earlier of equal ones is better."""
        both = rows if self.best is None else joined([self.best, rows])
        scores = np.concatenate([self.score, score])
        order = np.argsort(-scores, kind="stable")[:MOST_EXAMPLES]
        order = order[scores[order] > 0]
        self.best, self.score = taken(both, order), scores[order]


def facts_of(events: SyntheticEvents) -> EventFacts:
    """Return the facts of events in memory."""
    gathering = Gathering(item_shares(events.pair.target))
    gathering.add(rows_of(events))
    return gathering.facts(events.seed)
