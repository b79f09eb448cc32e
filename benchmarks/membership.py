"""Membership inference on synthetic events, over simulated worlds with and without a person.

The attacker knows all events of a candidate and sees the synthetic events of everybody else. The candidate's own
synthetic events would reveal the membership at once and are excluded. There are two attackers:

- *the law* knows other worlds of the same kind, with their releases, but no other user of this world. It sums the
  log-likelihood ratio of every support that the candidate may have raised by one.
- *everyone else* knows all events of all other users. It compares every support with its own count. A minimum number
  of users does not protect against this attacker; differential privacy does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.engines.generation import generate
from scalr.foundation.config import Steps
from scalr.logs.simulation import simulate

Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Some = Int64 | slice

N_SOURCE, N_TARGET, TARGET_OFFSET = 60, 40, 1_000_000
ALL = slice(None)
MOST_COUNT = 64  # larger counts are clipped to this when the law of release is estimated
SMOOTHING = 0.05  # of expected counts, so that pairs without a count in any shadow world have a positive probability


@dataclass(frozen=True, slots=True)
class World:
    """Logs of one world without some candidates, and the rows released from it.

    Attributes:
        has: Shape (users, source items), whether each user of the whole world has each source item.
        owns: Shape (users, target items).
        is_in: Shape (users,), whether each user is in the logs.
        candidates: Users whose membership was decided by a coin.
        released: Shape (rows, 4): user, source item, target item and support of every released row.
    """

    has: Mask
    owns: Mask
    is_in: Mask
    candidates: Int64
    released: Int64

    def counts(self, source: Some = ALL, target: Some = ALL) -> Int64:
        """Return how many users in the logs have each pair of some items, shape (source items, target items)."""
        inside = self.has[self.is_in][:, source].astype(np.float64)  # products of floats are fast, and exact here
        return (inside.T @ self.owns[self.is_in][:, target].astype(np.float64)).astype(np.int64)

    def item_counts(self) -> Int64:
        """Return how many users in the logs, with any source item, have each target item, shape (target items,)."""
        counts: Int64 = self.owns[self.is_in & self.has.any(axis=1)].sum(axis=0).astype(np.int64)
        return counts

    def support(self, without: int) -> Int64:
        """Return the support of each pair in the rows of all users except one; -1 for a pair without rows."""
        user, source, target, support = self.released.T
        others = user != without
        result = np.full((self.has.shape[1], self.owns.shape[1]), -1, np.int64)
        result[source[others], target[others]] = support[others]
        return result


def released_world(seed: int, steps: Steps, users: int, candidates: int) -> World:
    """Simulate a world without about half of the candidates, and release its synthetic events."""
    world = simulate(
        n_users=users, n_source_items=N_SOURCE, n_target_items=N_TARGET, events_per_user=(12.0, 4.0), n_groups=4,
        seed=seed,
    )  # fmt: skip
    has, owns = np.zeros((users, N_SOURCE), np.bool_), np.zeros((users, N_TARGET), np.bool_)
    has[world.source["user"].to_numpy(), world.source["item"].to_numpy()] = True
    owns[world.target["user"].to_numpy(), world.target["item"].to_numpy() - TARGET_OFFSET] = True
    random = np.random.default_rng(seed)
    able = np.flatnonzero(has.any(axis=1) & owns.any(axis=1))
    chosen = random.choice(able, candidates, replace=False)
    is_in = np.ones(users, np.bool_)
    is_in[chosen] = random.random(candidates) < 0.5
    return release((world.source, world.target), has, owns, is_in, chosen, steps.model_copy(update={"seed": seed}))


def release(
    logs: tuple[pa.Table, pa.Table], has: Mask, owns: Mask, is_in: Mask, candidates: Int64, steps: Steps
) -> World:
    """Generate synthetic events from the logs of the users who are in.

    Args:
        logs: Columns user, item and time; users are indices of `is_in`, source items of `has`, and target items of
            `owns`, with `TARGET_OFFSET` added.
        has: Shape (users, source items).
        owns: Shape (users, target items).
        is_in: Shape (users,).
        candidates: Users whose membership was decided by a coin.
        steps: Settings.
    """
    inside = (log.filter(pa.array(is_in[log["user"].to_numpy()])) for log in logs)
    table = generate(*inside, steps=steps, threads=1).table()
    columns = [table[name].to_numpy() for name in ("user", "source_item", "item", "support")]
    columns[2] = columns[2] - TARGET_OFFSET
    return World(has, owns, is_in, candidates, np.stack([column.astype(np.int64) for column in columns], axis=1))


@dataclass(frozen=True, slots=True)
class Law:
    """Estimates of the attacker who knows the law, from shadow worlds with the same settings.

    Attributes:
        expected: Shape (source items, target items), mean count of every pair.
        expected_item: Shape (target items,), mean number of users of every target item.
        chance: Shape (MOST_COUNT + 1,), share of pairs that are released, by their count.
        by_item: Whether support counts the users of the item, so that only the presence of a pair is informative.
    """

    expected: Floats
    expected_item: Floats
    chance: Floats
    by_item: bool

    @classmethod
    def of(cls, worlds: list[World], *, by_item: bool) -> Law:
        """Estimate the law from shadow worlds."""
        found = [world.counts() for world in worlds]
        items = np.mean([world.item_counts() for world in worlds], axis=0) + SMOOTHING
        expected = np.mean(found, axis=0) + SMOOTHING
        there, seen = np.ones(MOST_COUNT + 1), np.zeros(MOST_COUNT + 1)
        for world, count in zip(worlds, found, strict=True):
            clipped = np.minimum(count, MOST_COUNT).ravel()
            there += np.bincount(clipped, minlength=MOST_COUNT + 1)
            seen += np.bincount(clipped[world.support(-1).ravel() >= 0], minlength=MOST_COUNT + 1)
        return cls(expected, items, seen / there, by_item)

    def score(self, world: World, user: int) -> float:
        """Return the log-likelihood ratio that a user is in the logs, pair by pair as if they were independent.

        A count is Poisson, or one more than that if the user is in.
        """
        pairs = np.ix_(world.has[user], world.owns[user])
        shown, rate = world.support(user)[pairs], self.expected[pairs]
        there = shown >= 0
        if not self.by_item:
            known = float(np.log(np.maximum(shown[there], 1) / rate[there]).sum())
            return known + self._presence(rate[~there], 1.0 - self.chance)
        items = shown.max(axis=0)
        known = float(np.log(np.maximum(items, 1) / self.expected_item[world.owns[user]])[items >= 0].sum())
        return known + self._presence(rate[there], self.chance) + self._presence(rate[~there], 1.0 - self.chance)

    def _presence(self, rate: Floats, chance: Floats) -> float:
        """Return the log-likelihood ratio of an outcome of pairs with these rates, given its probability per count."""
        count = np.arange(MOST_COUNT + 1)
        logs = np.cumsum(np.log(np.maximum(count, 1)))
        outside = np.exp(count * np.log(rate)[:, None] - rate[:, None] - logs)
        inside = np.roll(outside, 1, axis=1)
        inside[:, 0] = 0.0
        ratio = np.maximum((inside * chance).sum(axis=1), 1e-12) / np.maximum((outside * chance).sum(axis=1), 1e-12)
        return float(np.log(ratio).sum())


def decision(world: World, user: int, *, by_item: bool) -> float:
    """Return 1 if the supports imply that a user is in, -1 if they imply the opposite, 0 if they imply neither.

    This is the decision of the attacker who knows all events of everybody else.
    """
    source, target = np.flatnonzero(world.has[user]), np.flatnonzero(world.owns[user])
    others = world.counts(source, target) - int(world.is_in[user])
    if by_item:
        others = np.tile(world.item_counts()[target] - int(world.is_in[user]), (len(source), 1))
    support, known = world.support(user)[np.ix_(source, target)].ravel(), others.ravel()
    shown = support >= 0
    if not shown.any():
        return 0.0
    return 1.0 if (support[shown] > known[shown]).any() else -1.0


@dataclass(frozen=True, slots=True)
class Advantage:
    """True minus false positive rate of an attack, with a 95 % interval from resampled worlds, and the AUC."""

    value: float
    low: float
    high: float
    auc: float

    def to_json(self) -> dict[str, float]:
        """Return the numbers, rounded."""
        return {name: round(float(getattr(self, name)), 4) for name in ("value", "low", "high", "auc")}


def advantage(scores: list[Floats], truth: list[Mask], threshold: float) -> Advantage:
    """Evaluate scores, one array per world, at a threshold that was chosen on other worlds."""

    def at(chosen: Int64) -> float:
        score, is_in = (np.concatenate([values[n] for n in chosen]) for values in (scores, truth))
        return float(_above(score[is_in], threshold) - _above(score[~is_in], threshold))

    random = np.random.default_rng(0)
    again = [at(random.integers(0, len(scores), len(scores))) for _ in range(500)]
    score, is_in = np.concatenate(scores), np.concatenate(truth)
    wins = score[is_in][:, None] - score[~is_in][None, :]
    low, high = np.quantile(again, [0.025, 0.975])
    return Advantage(at(np.arange(len(scores))), low, high, float((wins > 0).mean() + (wins == 0).mean() / 2))


def _above(score: Floats, threshold: float) -> float:
    """Return the share of scores above a threshold; scores equal to it count half."""
    return float((score > threshold).mean() + (score == threshold).mean() / 2)


def best_threshold(scores: list[Floats], truth: list[Mask]) -> float:
    """Return the threshold with the largest advantage on these worlds."""
    score, is_in = np.concatenate(scores), np.concatenate(truth)
    known = np.unique(score)
    candidates = np.concatenate([[known[0] - 1], (known[1:] + known[:-1]) / 2, [known[-1] + 1]])
    return float(max(candidates, key=lambda bound: _above(score[is_in], bound) - _above(score[~is_in], bound)))


def attacked(steps: Steps, *, worlds: int, users: int, candidates: int, by_item: bool) -> dict[str, Any]:
    """Attack releases that have the same settings.

    Args:
        steps: Settings of the releases.
        worlds: Number of worlds for the evaluation, and of shadow worlds that the attacker learns from.
        users: Users of a world.
        candidates: Users of a world whose membership a coin decides.
        by_item: Whether support counts the users of the item alone.

    Returns:
        The advantage of both attackers, released rows per world, and the shares that rest on fewer than 3 and 5 users.
    """
    shadows, judged = (
        [released_world(seed, steps, users, candidates) for seed in range(first, first + worlds)]
        for first in (0, worlds)
    )
    return judged_by(shadows, judged, by_item=by_item)


def judged_by(
    shadows: list[World], judged: list[World], *, by_item: bool, tuned: list[World] | None = None
) -> dict[str, Any]:
    """Let both attackers learn from some worlds and evaluate them on others; see `attacked`.

    Args:
        shadows: Worlds from which the law is estimated.
        judged: Worlds for the evaluation.
        by_item: Whether support counts the users of the item alone.
        tuned: Worlds on which the threshold is chosen; the shadow worlds if None.
    """
    tuned = tuned or shadows
    law, truth = Law.of(shadows, by_item=by_item), [world.is_in[world.candidates] for world in judged]
    found: dict[str, Any] = {}
    for name, score in (("law", law.score), ("everyone", partial(decision, by_item=by_item))):
        before, after = ([_scores(world, score) for world in some] for some in (tuned, judged))
        threshold = best_threshold(before, [world.is_in[world.candidates] for world in tuned])
        found[name] = advantage(after, truth, threshold).to_json()
    support = np.concatenate([world.released[:, 3] for world in judged])
    below = {str(least): round(float((support < least).mean()), 4) for least in (3, 5)} if len(support) else {}
    return {**found, "rows": round(len(support) / len(judged)), "share_below": below}


def _scores(world: World, score: Callable[[World, int], float]) -> Floats:
    return np.array([score(world, int(user)) for user in world.candidates])
