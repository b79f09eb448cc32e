"""Facts of synthetic events for a report, collected part by part: counts of items, and examples."""

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

EXAMPLE_SUPPORT = 5  # least users behind an example, so that a page never shows the pair of a single person
FEW_USERS = (3, 5)  # a report shows the share of events with fewer other users
MOST_EXAMPLES = 2_400  # a report selects examples with different items and users from these best events


@dataclass(frozen=True, slots=True, eq=False)
class EventFacts:
    """Numbers and best examples of synthetic events.

    Attributes:
        seed: The seed of the draws.
        item_counts: Shape (n_items,), events of each target item.
        best: At most `MOST_EXAMPLES` events with `EXAMPLE_SUPPORT`, by descending lift: the lower bound of confidence
            over the target item's share of all real interactions.
        few: Number of events with fewer other users than each of `FEW_USERS`.
    """

    seed: int
    item_counts: Int64
    best: Rows
    few: tuple[int, ...]

    def __len__(self) -> int:
        return int(self.item_counts.sum())

    def item_coverage(self, target: EventLog) -> float:
        """Return the share of the catalogue (target items with a positive event) among the events, in [0, 1]."""
        return int((self.item_counts > 0).sum()) / max(len(catalogue_of(target)), 1)


def resting_on_few(facts: EventFacts, privacy: PrivacySettings) -> dict[str, Any]:
    """Return the privacy facts of events for a manifest; see `people_behind`."""
    return people_behind(len(facts), facts.few, privacy)


def people_behind(n: int, few_behind: Sequence[int], privacy: PrivacySettings) -> dict[str, Any]:
    """Return the privacy guarantee of `n` events, and how many have only few other users behind them.

    `share_below` maps a number of users to the share of events with fewer; null without events.

    Args:
        n: Number of events, without negative rows.
        few_behind: Number of events with fewer other users than each of `FEW_USERS`.
        privacy: The settings.
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
    """Collects the facts of events, part by part in canonical order.

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
        """Add the next events."""
        least = float(self.score[-1]) if len(self.score) == MOST_EXAMPLES else np.finfo(np.float64).tiny
        self.few += [np.count_nonzero(rows.support < least_users) for least_users in FEW_USERS]
        places, per_share = np.empty(len(rows), np.int64), self._per_share
        n = count_items(
            rows.item, rows.confidence, rows.support, per_share, EXAMPLE_SUPPORT, least, self.item_counts, places
        )
        candidates = taken(rows, places[:n])
        bound = confidence_lower_bound(candidates.confidence, candidates.support)
        self._merge(candidates, bound * per_share[candidates.item])

    def join(self, other: Gathering) -> None:
        """Add the collected facts of the next events."""
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
        """Return the collected facts; at least one `add` must come before."""
        assert self.best is not None
        return EventFacts(seed, self.item_counts, self.best, tuple(map(int, self.few)))

    def _merge(self, rows: Rows, score: Floats) -> None:
        """Merge rows into the best ones; the earlier row wins a tie."""
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
