"""Cross-domain item-kNN: scores a target item by its similarity to the source and target items of the user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalr.evaluation.cross_domain.protocol import Strength
from scalr.evaluation.folds import Fold
from scalr.evaluation.kernels.neighbours import (
    Groups,
    Neighbours,
    block_similarities,
    nearest_neighbours,
    pair_similarities,
)
from scalr.evaluation.models import Model
from scalr.evaluation.models.prior import SMOOTHING
from scalr.evaluation.training import examples_of, interactions
from scalr.foundation import Codes, Floats, Int64, Mask, TrainSettings, rng
from scalr.logs import EventLog, Pair, catalogue_of

HISTORY_CAP = 500
"""Maximum number of items per user and domain; a history of n items makes n² pairs."""
HELD_OUT = 0.2
"""Share of the visible target events, the latest ones, that fit the calibration."""
SHARPNESS = 30.0
"""The evidence is log(1 + 30 · similarity): the first common neighbours count most, further neighbours count less."""
NEWTON_STEPS = 25


@dataclass(frozen=True, slots=True, eq=False)
class Neighbourhood:
    """Similarities of target items to the items of one domain, and the users' histories in that domain.

    Attributes:
        histories: Items of the domain by user, ascending within each user.
        neighbours: Nearest items of the domain for each target item.
        n_other: Number of items of the domain.
    """

    histories: Groups
    neighbours: Neighbours
    n_other: int

    def of_pairs(self, user: Codes, item: Codes) -> Floats:
        """Return the evidence for each (user, item), shape (n,)."""
        return _evidence(pair_similarities(user, item, self.histories, self.neighbours, self.n_other))

    def of_users(self, users: Codes) -> Floats:
        """Return the evidence for all target items, shape (n_users, n_target_items)."""
        start, neighbour, similarity = self.neighbours
        n_items = len(start) - 1
        order = np.argsort(neighbour, kind="stable")
        near_item = np.repeat(np.arange(n_items, dtype=np.int32), np.diff(start))[order]
        transposed = Neighbours(_starts(neighbour, self.n_other), near_item, similarity[order])
        return _evidence(block_similarities(users, self.histories, transposed, n_items))


@dataclass(frozen=True, slots=True, eq=False)
class NearestItems:
    """A fitted item-kNN model: log-odds that are linear in the evidence of both domains.

    Attributes:
        source: Similarity to source items.
        target: Similarity to target items.
        offset: Shape (n_items,), share of the log popularity of items.
        warm: Shape (3,), intercept and slopes of source and target evidence for users with target events.
        cold: Shape (3,), the same for users without target events: fitted without target evidence, last slope 0.
        is_warm: Shape (n_users,), whether a user has target events.
        fitted_until: Latest time of the training events; None without time.
        fitted_on: Digest of the target log that it was trained on.
    """

    source: Neighbourhood
    target: Neighbourhood
    offset: Floats
    warm: Floats
    cold: Floats
    is_warm: Mask
    fitted_until: int | None
    fitted_on: int

    def score(self, user: Codes, item: Codes) -> Floats:
        """Return P(label = 1) for each (user, item), shape (n,)."""
        evidence = self.source.of_pairs(user, item), self.target.of_pairs(user, item)
        return _probability(self._logits(evidence, user, self.offset[item]).astype(np.float64))

    def rank_scores(self, users: Codes) -> npt.NDArray[np.float32]:
        """Return logits, shape (n_users, all items)."""
        evidence = self.source.of_users(users), self.target.of_users(users)
        return self._logits(evidence, users[:, None], self.offset[None, :])

    def _logits(self, evidence: tuple[Floats, Floats], user: Codes, offset: Floats) -> npt.NDArray[np.float32]:
        warm = self.is_warm[user]
        intercept, by_source, by_target = (np.where(warm, *both) for both in zip(self.warm, self.cold, strict=True))
        return np.asarray(intercept + offset + by_source * evidence[0] + by_target * evidence[1], np.float32)


@dataclass(frozen=True, slots=True)
class ItemNeighbours:
    """Summed, shrunk cosine similarities, calibrated by a logistic regression.

    The regression is fitted on the latest visible target events, with neighbours from the events before them.
    Afterwards, neighbours are computed again from all events. `shrinkage` is the number of common users at which a
    similarity is halved. `neighbours` is the number of neighbours of each target item in each domain. `popularity` is
    the weight of the log popularity of an item in its log-odds. The method has no epochs.

    References:
        Sarwar et al. 2001, Item-based collaborative filtering recommendation algorithms.
    """

    strengths: tuple[Strength, ...] = tuple(
        {"shrinkage": shrinkage, "neighbours": neighbours, "popularity": popularity}
        for shrinkage, neighbours, popularity in (
            (2, 200, 0.5),
            (2, 200, 0.0),
            (2, 200, 1.0),
            (10, 200, 0.5),
            (0, 200, 0.5),
            (10, 200, 0.0),
            (10, 200, 1.0),
            (2, 50, 0.5),
        )
    )
    reads_source: bool = False

    def epochs(self, fold: Fold, settings: TrainSettings, seed: int, strength: Strength) -> Iterator[Model]:
        """Yield a single model; see `Rival`."""
        real, target = examples_of(fold, None, settings, seed), fold.pair.target
        warm, cold = calibrated(fold.pair, settings, seed, strength)
        near = neighbourhoods(fold.pair, strength)
        is_warm = np.bincount(real.user, minlength=len(target.users)) > 0
        offset = _popularity(target, settings, strength)
        yield NearestItems(*near, offset, warm, cold, is_warm, real.fitted_until, real.fitted_on)


def neighbourhoods(pair: Pair, strength: Strength) -> tuple[Neighbourhood, Neighbourhood]:
    """Return the nearest source and target items of every target item.

    Args:
        pair: Training logs.
        strength: Shrinkage and number of neighbours; see `ItemNeighbours`.
    """
    n_users, n_items = len(pair.target.users), len(pair.target.items)
    user, item = _histories(pair.target)
    item_users = Groups(_starts(item, n_items), user[np.argsort(item, kind="stable")])
    shrinkage, most = float(strength["shrinkage"]), int(strength["neighbours"])
    source, target = (
        _neighbourhood(item_users, log, n_users, shrinkage, most, is_target)
        for log, is_target in ((pair.source, False), (pair.target, True))
    )
    return source, target


def _neighbourhood(
    item_users: Groups, log: EventLog, n_users: int, shrinkage: float, most: int, is_target: bool
) -> Neighbourhood:
    """Return the nearest items of a single domain; see `nearest_neighbours`."""
    user, item = _histories(log)
    histories, n_other = Groups(_starts(user, n_users), item), len(log.items)
    n_users_of = np.bincount(item, minlength=n_other)
    nearest = nearest_neighbours(item_users, histories, n_users_of, shrinkage, most, is_target)
    return Neighbourhood(histories, nearest, n_other)


def calibrated(pair: Pair, settings: TrainSettings, seed: int, strength: Strength) -> tuple[Floats, Floats]:
    """Fit intercept and slopes of source and target evidence, shape (3,), for warm and for cold users.

    Args:
        pair: Training logs; the latest target events are the rows, and earlier events give the evidence.
        settings: Negatives and half-life.
        seed: Determines the negatives and, without times, the held-out events.
        strength: See `ItemNeighbours`.

    Returns:
        Coefficients for users with target events, and for users without.
    """
    early, late = _cut(pair, seed)
    n_items, catalogue = len(pair.target.items), catalogue_of(early.target)
    if len(catalogue):  # items with earlier events only, as for judged pairs
        late = late.take(np.isin(late.item, catalogue))
    user, item, weight = interactions(late, settings.half_life)
    slots = settings.negatives + 1
    key = np.arange(len(user) * slots, dtype=np.uint64)
    chance = rng.keyed_units(seed, rng.Purpose.RIVAL, key).reshape(-1, slots)
    items = catalogue[(chance * len(catalogue)).astype(np.int64)]
    items[:, 0] = item
    users, rows = np.repeat(user, slots), items.ravel()
    before = interactions(early.target)[:2]
    is_new = ~np.isin(users.astype(np.int64) * n_items + rows, before[0].astype(np.int64) * n_items + before[1])
    evidence = [near.of_pairs(users, rows) for near in neighbourhoods(early, strength)]
    features = np.stack([np.ones(len(users)), *evidence], axis=1)[is_new]
    label = (np.arange(len(users)) % slots == 0).astype(np.float64)[is_new]
    known = _popularity(early.target, settings, strength)[rows][is_new]
    weights = np.repeat(weight, slots).astype(np.float64)[is_new]
    is_warm = (np.bincount(before[0], minlength=len(pair.target.users)) > 0)[users[is_new]]
    if not label.any():  # no held-out positives: predict the base rate for all users
        base = np.array([-np.log(settings.negatives), 0.0, 0.0])
        return base, base
    cold = np.append(logistic(features[:, :2], label, weights, known), 0.0)
    warm = (
        logistic(features[is_warm], label[is_warm], weights[is_warm], known[is_warm]) if label[is_warm].any() else cold
    )
    return warm, cold


def logistic(features: Floats, label: Floats, weight: Floats, offset: Floats) -> Floats:
    """Fit a weighted logistic regression by Newton's method with a small L2 penalty; return the coefficients.

    Args:
        features: Shape (n, k).
        label: Shape (n,), 0 or 1.
        weight: Shape (n,), above 0.
        offset: Shape (n,), fixed term of the log-odds.

    Returns:
        Shape (k,).
    """
    weight = weight / weight.sum()
    at = np.zeros(features.shape[1])
    faint = 1e-6 * np.eye(len(at))
    for _ in range(NEWTON_STEPS):
        chance = _probability(np.einsum("nk,k->n", features, at) + offset)
        slope = np.einsum("nk,n->k", features, weight * (label - chance)) - faint @ at
        curvature = np.einsum("nk,nl,n->kl", features, features, weight * chance * (1 - chance)) + faint
        step = np.linalg.solve(curvature, slope)
        at = at + step / max(1.0, float(np.abs(step).max()) / 2.0)  # limited: a full Newton step may overshoot
    return at


def _cut(pair: Pair, seed: int) -> tuple[Pair, EventLog]:
    """Split off the latest target events; return the logs before them, and these events.

    Without times, random target events are split off.
    """
    target, source = pair.target.positives(), pair.source
    if target.time is None or source.time is None:
        is_late = rng.keyed_units(seed, rng.Purpose.RIVAL, target.keys()) < HELD_OUT
        return Pair(source, target.take(~is_late)), target.take(is_late)
    since = np.sort(target.time)[int(len(target) * (1 - HELD_OUT))]
    early = Pair(source.take(source.time < since), target.take(target.time < since))
    return early, target.take(target.time >= since)


def _histories(log: EventLog) -> tuple[Codes, Codes]:
    """Return users and items of the interactions of a log, sorted, with at most `HISTORY_CAP` items per user."""
    user, item, _ = interactions(log)
    keep = np.arange(len(user)) - np.searchsorted(user, user, side="left") < HISTORY_CAP
    return user[keep], item[keep]


def _popularity(target: EventLog, settings: TrainSettings, strength: Strength) -> Floats:
    """Return the popularity term of the log-odds of each item, shape (n_items,)."""
    _, item, weight = interactions(target, settings.half_life)
    mass = np.bincount(item, weight, len(target.items)) + SMOOTHING
    share: Floats = strength["popularity"] * np.log(mass / (mass.mean() or 1.0))
    return share


def _evidence(nearness: Floats) -> Floats:
    return np.log1p(SHARPNESS * nearness)


def _probability(logits: Floats) -> Floats:
    small: Floats = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1.0, small) / (1.0 + small)


def _starts(codes: Codes, n: int) -> Int64:
    return np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=n))]).astype(np.int64)
