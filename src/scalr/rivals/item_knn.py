"""Item-kNN across domains: a target item is likely for a user whose items, of either domain, are near to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalr import rng
from scalr.config import TrainSettings
from scalr.domain import Codes, Floats
from scalr.kernels.neighbours import all_similarities, block_nearness, nearest_items, pair_nearness
from scalr.models import Examples, Model
from scalr.models.mf import SMOOTHING
from scalr.rivals.protocol import Strength
from scalr.split import Fold
from scalr.train import examples_of, interactions

Starts = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
HISTORY_CAP = 500
"""Items of one user and domain that are looked at: a history of n items makes n² pairs."""
NEWTON_STEPS = 25


@dataclass(frozen=True, slots=True, eq=False)
class Neighbourhood:
    """How near target items are to the items of one domain, and who has these.

    Attributes:
        user_start: Shape (n_users + 1,), where each user's history begins in `user_item`.
        user_item: Items of the domain by user, ascending within a user.
        start: Shape (n_target_items + 1,), where each target item's neighbours begin in `neighbour`.
        neighbour: Items of the domain, ascending within a target item.
        common: Shape as `neighbour`, users that have both.
        item_users: Shape (n_target_items,), users of each target item.
        other_users: Shape (n_items of the domain,), users of each of its items.
        shrinkage: Common users at which a similarity counts half.
        by_neighbour: Shape (n_items of the domain + 1,), where each item's places begin in `near_item`.
        near_item: Target items by neighbour.
        similarity: Shape as `near_item`.
    """

    user_start: Starts
    user_item: Codes
    start: Starts
    neighbour: Codes
    common: Codes
    item_users: Starts
    other_users: Starts
    shrinkage: float
    by_neighbour: Starts
    near_item: Codes
    similarity: Floats

    def of_pairs(self, user: Codes, item: Codes, is_own: Mask) -> Floats:
        """Return the nearness of each (user, item), shape (n,); without the user's own testimony where `is_own`."""
        near: Floats = pair_nearness(
            user, item, is_own, self.user_start, self.user_item, self.start, self.neighbour, self.common,
            self.item_users, self.other_users, self.shrinkage,
        )  # fmt: skip
        return near

    def of_users(self, users: Codes) -> Floats:
        """Return the nearness of all target items to some users, shape (n_users, n_target_items)."""
        n_items = len(self.item_users)
        near: Floats = block_nearness(
            users, self.user_start, self.user_item, self.by_neighbour, self.near_item, self.similarity, n_items
        )
        return near


@dataclass(frozen=True, slots=True, eq=False)
class NearestItems:
    """A fitted item-kNN; log-odds are linear in the log of one plus nearness.

    Attributes:
        source: Nearness to source items.
        target: Nearness to target items.
        offset: Shape (n_items,), share of the log popularity of items.
        warm: Intercept and slopes by source and target nearness, for users with target events.
        cold: The same for users without: fitted as if nobody had any, the last slope 0.
        is_warm: Shape (n_users,).
        fitted_until: Latest time of any event behind it; None without time.
        fitted_on: Digest of the target log it was trained on.
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
        never = np.zeros(len(user), np.bool_)
        near = self.source.of_pairs(user, item, never), self.target.of_pairs(user, item, never)
        logits = self._logits(near, user, self.offset[item]).astype(np.float64)
        return _probability(logits)

    def rank_scores(self, users: Codes) -> npt.NDArray[np.float32]:
        """Return logits, shape (n_users, all items)."""
        near = self.source.of_users(users), self.target.of_users(users)
        return self._logits(near, users[:, None], self.offset[None, :])

    def _logits(self, near: tuple[Floats, Floats], user: Codes, offset: Floats) -> npt.NDArray[np.float32]:
        warm = self.is_warm[user]
        intercept, by_source, by_target = (np.where(warm, *both) for both in zip(self.warm, self.cold, strict=True))
        logits = intercept + offset + by_source * np.log1p(near[0]) + by_target * np.log1p(near[1])
        return np.asarray(logits, np.float32)


@dataclass(frozen=True, slots=True)
class ItemNeighbours:
    """Summed shrunk cosine similarities, made probabilities by a logistic regression on the training pairs.

    `shrinkage` is the number of common users at which a similarity counts half, `neighbours` those of each target item
    in either domain, `popularity` the share of an item's log popularity in its log-odds. There are no passes.

    References:
        Sarwar et al. 2001, Item-based collaborative filtering recommendation algorithms.
    """

    strengths: tuple[Strength, ...] = tuple(
        {"shrinkage": shrinkage, "neighbours": neighbours, "popularity": popularity}
        for shrinkage, neighbours, popularity in (
            (10, 200, 0.5),
            (10, 200, 1.0),
            (10, 200, 0.0),
            (2, 200, 0.5),
            (50, 200, 0.5),
            (2, 200, 0.0),
            (2, 200, 1.0),
            (10, 50, 0.5),
        )
    )

    def passes(self, fold: Fold, settings: TrainSettings, seed: int, strength: Strength) -> Iterator[Model]:
        """Yield the one model there is; see `Rival`."""
        real = examples_of(fold, None, settings, seed)
        yield fitted(fold, real, settings, seed, strength)


def fitted(fold: Fold, real: Examples, settings: TrainSettings, seed: int, strength: Strength) -> NearestItems:
    """Find neighbours and fit the regression."""
    shrinkage, most = float(strength["shrinkage"]), int(strength["neighbours"])
    of_target = real.user, real.item, len(real.item_keys)
    user, item, _ = interactions(fold.pair.source)
    source = neighbourhood(of_target, (user, item, len(fold.pair.source.items)), len(real.user_keys), shrinkage, most)
    target = neighbourhood(of_target, of_target, len(real.user_keys), shrinkage, most, same=True)

    mass = np.bincount(real.item, real.weight, len(real.item_keys))
    average = mass.sum() / len(real.catalogue)
    offset = float(strength["popularity"]) * np.log((mass + SMOOTHING) / (average + SMOOTHING))

    slots, n_rows = settings.negatives + 1, len(real)
    key = np.arange(n_rows * slots, dtype=np.uint64)
    chance = rng.keyed_units(seed, rng.Purpose.RIVAL, key).reshape(n_rows, slots)
    items = real.catalogue[(chance * len(real.catalogue)).astype(np.int64)]
    items[:, 0] = real.item
    users, rows = np.repeat(real.user, slots), items.ravel()
    cell = real.user.astype(np.int64) * len(mass) + real.item  # ascending, since rows stand by user and item
    asked = users.astype(np.int64) * len(mass) + rows
    is_own = cell[np.minimum(np.searchsorted(cell, asked), n_rows - 1)] == asked
    near = (one.of_pairs(users, rows, is_own) for one in (source, target))
    features = np.stack([np.ones(len(users)), *(np.log1p(one) for one in near)], axis=1)
    label = np.zeros(len(users))
    label[::slots] = 1.0
    weight = np.repeat(real.weight, slots).astype(np.float64)
    known = strength["popularity"] * np.log((mass[rows] - is_own * weight + SMOOTHING) / (average + SMOOTHING))
    warm = logistic(features, label, weight, known)
    cold = np.append(logistic(features[:, :2], label, weight, known), 0.0)
    is_warm = np.bincount(real.user, minlength=len(real.user_keys)) > 0
    return NearestItems(source, target, offset, warm, cold, is_warm, real.fitted_until, real.fitted_on)


def neighbourhood(
    of_target: tuple[Codes, Codes, int],
    other: tuple[Codes, Codes, int],
    n_users: int,
    shrinkage: float,
    most: int,
    *,
    same: bool = False,
) -> Neighbourhood:
    """Find the nearest items of a domain for every target item.

    Args:
        of_target: Users and items of the target's distinct interactions, by user and item, and the number of items.
        other: Those of the domain, likewise.
        n_users: Users of both.
        shrinkage: Common users at which a similarity counts half, at least 0.
        most: Neighbours per target item.
        same: Whether the domain is the target itself.
    """
    (user, item, n_items), (other_user, other_item, n_other) = of_target, other
    is_early = _place_in_group(other_user) < HISTORY_CAP
    other_user, other_item = other_user[is_early], other_item[is_early]
    user_start, other_users = _starts(other_user, n_users), np.bincount(other_item, minlength=n_other)
    if same:
        user, item = other_user, other_item
    item_user, item_users = user[np.argsort(item, kind="stable")], np.bincount(item, minlength=n_items)
    start, neighbour, common = nearest_items(
        _starts(item, n_items), item_user, user_start, other_item, other_users, shrinkage, most, same
    )
    near_item = np.repeat(np.arange(n_items, dtype=np.int32), np.diff(start))
    order = np.argsort(neighbour, kind="stable")
    similarity = all_similarities(common, item_users[near_item], other_users[neighbour], shrinkage)
    return Neighbourhood(
        user_start, other_item, start, neighbour, common, item_users, other_users, shrinkage,
        _starts(neighbour, n_other), near_item[order], similarity[order],
    )  # fmt: skip


def logistic(features: Floats, label: Floats, weight: Floats, offset: Floats) -> Floats:
    """Return the coefficients of a weighted logistic regression, by Newton's method with a faint penalty.

    Args:
        features: Shape (n, k).
        label: Shape (n,), 0 or 1.
        weight: Shape (n,), above 0.
        offset: Shape (n,), what is added to the log-odds as it is.

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
        at = at + step / max(1.0, float(np.abs(step).max()) / 2.0)  # far from the summit Newton may leap over it
    return at


def _probability(logits: Floats) -> Floats:
    small: Floats = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1.0, small) / (1.0 + small)


def _starts(codes: Codes, n: int) -> Starts:
    return np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=n))]).astype(np.int64)


def _place_in_group(codes: Codes) -> Starts:
    """Return the number of each row among those of its code, from 0; codes ascend."""
    first = np.searchsorted(codes, codes, side="left")
    return np.arange(len(codes)) - first
