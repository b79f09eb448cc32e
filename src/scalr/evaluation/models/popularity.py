"""Popularity baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalr.evaluation.models.prior import SMOOTHING
from scalr.foundation import Codes, Floats
from scalr.logs import EventLog


@dataclass(frozen=True, slots=True, eq=False)
class Popularity:
    """Ranks items by their number of users; all users get the same list.

    Attributes:
        users: Shape (n_items,), number of distinct users of each item, smoothed.
        average: Mean of `users` over the catalogue.
        negatives: Uniform negatives per positive; determines the base rate of the probabilities.
        fitted_until: Latest time of the counted events; None without time.
        fitted_on: Digest of the log that was counted.
    """

    users: Floats
    average: float
    negatives: int
    fitted_until: int | None
    fitted_on: int

    def score(self, user: Codes, item: Codes) -> Floats:
        """Return P(label = 1) by Bayes' rule, shape (n,): positives follow item popularity, negatives are uniform."""
        odds = self.users[item] / (self.average * self.negatives)
        probability: Floats = odds / (1.0 + odds)
        return probability

    def rank_scores(self, users: Codes) -> npt.NDArray[np.float32]:
        """Return the number of users of each item, shape (n_users, all items)."""
        return np.tile(self.users.astype(np.float32), (len(users), 1))


def count_popularity(log: EventLog, catalogue: Codes, negatives: int) -> Popularity:
    """Count the distinct users of each item.

    Args:
        log: Visible events of the target domain; those with label 0 are not counted.
        catalogue: Items that can be recommended.
        negatives: Uniform negatives per positive; determines the base rate of the probabilities.
    """
    events = log.positives()
    counted = np.bincount(events.item[events.starts_interaction()], minlength=len(log.items))
    users = counted.astype(np.float64) + SMOOTHING
    return Popularity(users, float(users[catalogue].mean()), negatives, log.last_time(), log.digest())
