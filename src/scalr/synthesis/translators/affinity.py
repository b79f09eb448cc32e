"""How near a user is to every target item, by what the user did in the source domains: a low-rank ridge regression.

The user-item matrix of the source, rows and columns normalised by their degree, is projected on the subspace of its
largest singular values (randomised subspace iteration, Halko, Martinsson, Tropp 2011). Ridge regression from there to
the target items of the overlap users gives a score for every (user, target item); the diagonal of the hat matrix takes
the user's own target events out of it again. Nothing larger than users x rank or items x rank is held.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from scalr.foundation import LANES, Codes, Int64, Keys, Singles, lowrank, rng
from scalr.logs import StoredLog, StoredPair, item_ranges

PASSES = 4  # power iterations after the first projection; a test finds 97 % of what the best subspace holds
LARGEST_LEVERAGE = 0.99  # of a user on its own scores; beyond that nothing is left when the user is left out
COLUMNS_AT_ONCE = 16  # of user factors that a thread sums at a time: one cache line


@dataclass(frozen=True, slots=True, eq=False)
class UserAffinity:
    """Scores of target items for users: user_factors[u] · item_factors[i], less own_share[u] where u has i.

    Attributes:
        user_factors: Shape (n_users, rank), zero for users without source events; the user's own events are left out.
        item_factors: Shape (n_target, rank), zero for items that no overlap user has.
        own_share: Shape (n_users,), by how much the score of an item of the user's own is too high, at least 0.
        rank: Dimensions asked for; the arrays have more, all zero, up to a whole number of `LANES`.
    """

    user_factors: Singles
    item_factors: Singles
    own_share: Singles
    rank: int


@dataclass(frozen=True, slots=True)
class FitSample:
    """Which users factors are fitted on: all, or of a log with many pairs a sample that no order or machine decides.

    Users of both domains are what the regression learns from, so they get half of the pairs if they have as many.

    Attributes:
        shared: Share of the users with target events, in (0, 1].
        other: Share of the others, in [0, 1].
    """

    shared: float = 1.0
    other: float = 1.0

    @classmethod
    def of(cls, shared_pairs: int, other_pairs: int, most: int) -> FitSample:
        """Take about `most` pairs of user and source item.

        Args:
            shared_pairs: Distinct pairs of users with target events.
            other_pairs: Those of other users.
            most: At least 2.
        """
        if shared_pairs + other_pairs <= most:
            return cls()
        shared = min(1.0, max(most // 2, most - other_pairs) / max(shared_pairs, 1))
        return cls(shared, min(1.0, (most - shared * shared_pairs) / max(other_pairs, 1)))

    @property
    def is_whole(self) -> bool:
        """Return whether all users are taken."""
        return self.shared == self.other == 1.0

    def takes(self, keys: Keys, has_target: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Say which users are taken, shape (n_users,).

        Args:
            keys: Shape (n_users,), keys of users.
            has_target: Shape (n_users,), whether they have target events.
        """
        taken: npt.NDArray[np.bool_] = rng.keyed_units(0, rng.Purpose.FIT_USERS, keys) < np.where(
            has_target, self.shared, self.other
        )
        return taken


def fit_affinity(
    stored: StoredPair, target_start: Int64, target_item: Codes, rank: int, ridge: float, most_pairs: int | None = None
) -> UserAffinity:
    """Fit scores of target items on the source items of the overlap users.

    Args:
        stored: The logs.
        target_start: Shape (n_users + 1,), where each user's target items start.
        target_item: Distinct target items by user.
        rank: Dimensions of the subspace.
        ridge: Penalty, above 0, beside squared norms of rows that are 1 at most.
        most_pairs: Distinct (user, source item) to fit on, about, at most; None for all. See `FitSample`.
    """
    matrix, keys = _matrix_of(stored.source, len(stored.target.users)), stored.source.items.keys
    has_target, pairs = np.diff(target_start) > 0, stored.source_counts.interactions_of_user
    fitted = None
    if most_pairs is not None:
        sample = FitSample.of(int(pairs[has_target].sum()), int(pairs[~has_target].sum()), most_pairs)
        fitted = None if sample.is_whole else sample.takes(stored.target.users.keys, has_target)
    subspace = Subspace.of(matrix if fitted is None else matrix.of_users(fitted), keys, rank)
    rows = subspace.rows(matrix)
    return regressed(rows, target_start, target_item, len(stored.target.items), rank, ridge, fitted)


def regressed(
    rows: Singles, target_start: Int64, target_item: Codes, n_target: int, rank: int, ridge: float,
    fitted: npt.NDArray[np.bool_] | None = None,
) -> UserAffinity:  # fmt: skip
    """Regress target items on rows of users in a subspace of the source; see `fit_affinity`.

    Args:
        rows: Shape (n_users, rank), zero for users without source events.
        target_start: Shape (n_users + 1,), where each user's target items start.
        target_item: Distinct target items by user.
        n_target: Number of target items.
        rank: Dimensions of the subspace.
        ridge: Penalty, above 0.
        fitted: Shape (n_users,), who is learnt from; None for all.
    """
    n_users, width = len(rows), -(-rank // LANES) * LANES
    of_user = np.zeros((n_users, width), np.float32)
    of_user[:, :rank] = rows
    history = np.diff(target_start)
    owner = np.repeat(np.arange(n_users, dtype=np.int32), history)
    is_overlap = (history > 0) & rows.any(axis=1)
    if fitted is not None:
        is_overlap &= fitted
        target_item, owner = target_item[fitted[owner]], owner[fitted[owner]]
    overlap = np.flatnonzero(is_overlap).astype(np.int32)
    lower = lowrank.cholesky(lowrank.gram(of_user, overlap) + ridge * np.eye(width))
    leverage = np.zeros(n_users)
    leverage[overlap] = np.minimum(lowrank.leverages(lower, of_user, overlap), LARGEST_LEVERAGE)

    order = np.argsort(target_item, kind="stable")
    item_start = np.zeros(n_target + 1, np.int64)
    np.cumsum(np.bincount(target_item, minlength=n_target), out=item_start[1:])
    item_user = owner[order]
    of_item = np.zeros((n_target, width), np.float32)
    ones = np.ones(n_target, np.float32)
    _by_items(lambda part: lowrank.sum_over_users(item_start, item_user, ones, of_user, part, of_item), item_start)
    lowrank.solve_rows(lower, of_item)
    lowrank.scale_rows(of_user, (1 / (1 - leverage)).astype(np.float32))
    return UserAffinity(of_user, of_item, (leverage / (1 - leverage)).astype(np.float32), rank)


@dataclass(frozen=True, slots=True, eq=False)
class SourceMatrix:
    """Distinct (user, item) of the source by item; entry (u, j) is user_weight[u] · item_weight[j].

    Attributes:
        item_start: Shape (n_items + 1,), where each item's users start.
        user: Shape (n,), users by item, ascending.
        item_weight: Shape (n_items,); 0 for items without users.
        user_weight: Shape (n_users,); 0 for users without items.
    """

    item_start: Int64
    user: Codes
    item_weight: Singles
    user_weight: Singles

    @classmethod
    def of(cls, item_start: Int64, user: Codes, n_users: int, item_weight: Singles | None = None) -> SourceMatrix:
        """Weigh distinct (user, item), laid out by item: columns by their degree or as given, then rows to length 1."""
        taken = np.diff(item_start)
        if item_weight is None:
            item_weight = np.where(taken > 0, 1 / np.sqrt(np.maximum(taken, 1)), 0.0).astype(np.float32)
        squared = np.zeros((n_users, 1), np.float32)
        one = np.ones((len(taken), 1), np.float32)
        lowrank.sum_over_items(item_start, user, item_weight**2, one, (0, 1), squared)
        norm = np.sqrt(squared[:, 0])
        user_weight = np.divide(1, norm, out=np.zeros_like(norm), where=norm > 0)
        return cls(item_start, user, item_weight, user_weight)

    def of_users(self, chosen: npt.NDArray[np.bool_]) -> SourceMatrix:
        """Return the matrix of some users alone, by the same codes."""
        keep = chosen[self.user]
        before = np.concatenate([[0], np.cumsum(keep)]).astype(np.int64)
        return SourceMatrix.of(before[self.item_start], self.user[keep], len(self.user_weight))


@dataclass(frozen=True, slots=True, eq=False)
class Subspace:
    """Directions in which users differ most by what they did in the source domains.

    Attributes:
        item_keys: Shape (n_items,), keys of source items.
        item_weight: Shape (n_items,); 0 for items that nobody has whom it was fitted on.
        basis: Shape (n_items, rank), orthonormal columns.
    """

    item_keys: Keys
    item_weight: Singles
    basis: Singles

    @classmethod
    def of(cls, matrix: SourceMatrix, item_keys: Keys, rank: int) -> Subspace:
        """Find about the leading right singular vectors of a matrix.

        Ridge regression on them does not depend on which basis of the subspace it is.
        """
        basis = lowrank.first_columns(item_keys, rank, rng.stream(0, rng.Purpose.AFFINITY))
        everything = np.arange(len(basis), dtype=np.int32)
        for _ in range(1 + PASSES):
            of_user = _projected(matrix, basis)
            lowrank.scale_rows(of_user, matrix.user_weight)
            _by_items(partial(_gather, matrix, of_user, basis), matrix.item_start)
            lowrank.orthonormal_rows(basis, lowrank.cholesky(lowrank.gram(basis, everything)))
        return cls(item_keys, matrix.item_weight, basis)

    def rows(self, matrix: SourceMatrix) -> Singles:
        """Return users in the subspace, shape (n_users, rank), those of another matrix of the same items too."""
        n_users = len(matrix.user_weight)
        matrix = SourceMatrix.of(matrix.item_start, matrix.user, n_users, self.item_weight)
        return _projected(matrix, self.basis)


def _matrix_of(source: StoredLog, n_users: int) -> SourceMatrix:
    users: list[Codes] = []
    taken = np.zeros(len(source.items), np.int64)
    for part in source.parts():
        log = part.positives()
        new = log.starts_interaction()
        users.append(log.user[new])
        taken += np.bincount(log.item[new], minlength=len(taken))
    start = np.concatenate([[0], np.cumsum(taken)])
    user = np.concatenate(users) if users else np.empty(0, np.int32)
    return SourceMatrix.of(start, user, n_users)


def _projected(matrix: SourceMatrix, basis: Singles) -> Singles:
    """Return the matrix times the basis, shape (n_users, rank)."""
    rank = basis.shape[1]
    of_user = np.zeros((len(matrix.user_weight), rank), np.float32)
    columns = [(first, min(first + COLUMNS_AT_ONCE, rank)) for first in range(0, rank, COLUMNS_AT_ONCE)]
    _in_threads(
        lambda some: lowrank.sum_over_items(matrix.item_start, matrix.user, matrix.item_weight, basis, some, of_user),
        columns,
    )
    lowrank.scale_rows(of_user, matrix.user_weight)
    return of_user


def _gather(matrix: SourceMatrix, of_user: Singles, basis: Singles, items: tuple[int, int]) -> None:
    lowrank.sum_over_users(matrix.item_start, matrix.user, matrix.item_weight, of_user, items, basis)


def _by_items(work: Callable[[tuple[int, int]], None], item_start: Int64) -> None:
    _in_threads(work, item_ranges(item_start, 1 << 18))


def _in_threads(work: Callable[[tuple[int, int]], None], ranges: Iterable[tuple[int, int]]) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(work, ranges):
            pass
