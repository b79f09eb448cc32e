"""Affinity of users to target items, from their events in the source domains: a low-rank ridge regression.

The user-item matrix of the source, with rows and columns normalised by degree, is projected on the subspace of its
largest singular values (randomised subspace iteration, Halko, Martinsson, Tropp 2011). A ridge regression from this
subspace to the target items of overlap users gives a score for every (user, target item). The diagonal of the hat
matrix removes the effect of the user's own target events. The largest arrays have users x rank or items x rank values.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from scalr.foundation import LANES, Codes, Int64, Keys, Mask, Singles, lowrank, rng
from scalr.logs import StoredLog, StoredPair, item_ranges
from scalr.synthesis.kernels.candidate_choice import UserAffinity

PASSES = 4  # power iterations after the first projection; in a test they capture 97 % of the best subspace
LARGEST_LEVERAGE = 0.99  # of a user on its own scores; above it, leaving the user out is unstable
COLUMNS_AT_ONCE = 16  # of user factors per task: one cache line


@dataclass(frozen=True, slots=True)
class FitSample:
    """Users on whom factors are fitted: all, or for large logs a sample by hashes, independent of order and machine.

    The regression learns from overlap users, so they get at least half of the pairs if they have that many.

    Attributes:
        shared: Share of the users with target events, in (0, 1].
        other: Share of the others, in [0, 1].
    """

    shared: float = 1.0
    other: float = 1.0

    @classmethod
    def from_counts(cls, shared_pairs: int, other_pairs: int, most: int) -> FitSample:
        """Return a sample with about `most` pairs of user and source item.

        Args:
            shared_pairs: Distinct pairs of users with target events.
            other_pairs: Distinct pairs of other users.
            most: At least 2.
        """
        if shared_pairs + other_pairs <= most:
            return cls()
        shared = min(1.0, max(most // 2, most - other_pairs) / max(shared_pairs, 1))
        return cls(shared, min(1.0, (most - shared * shared_pairs) / max(other_pairs, 1)))

    @property
    def is_whole(self) -> bool:
        """Return whether the sample holds all users."""
        return self.shared == self.other == 1.0

    def takes(self, keys: Keys, has_target: Mask) -> Mask:
        """Return the mask of sampled users, shape (n_users,).

        Args:
            keys: Shape (n_users,), keys of users.
            has_target: Shape (n_users,), whether they have target events.
        """
        taken: Mask = rng.keyed_units(0, rng.Purpose.FIT_USERS, keys) < np.where(has_target, self.shared, self.other)
        return taken


def fit_affinity(
    stored: StoredPair, target_start: Int64, target_item: Codes, rank: int, ridge: float, most_pairs: int | None = None
) -> UserAffinity:
    """Fit scores of target items on the source items of the overlap users.

    Args:
        stored: The logs.
        target_start: Shape (n_users + 1,), start of each user's target items.
        target_item: Distinct target items by user.
        rank: Dimensions of the subspace.
        ridge: Penalty, above 0; squared norms of rows are at most 1.
        most_pairs: Approximate limit of distinct (user, source item) for the fit; None for all. See `FitSample`.
    """
    matrix, keys = _matrix_of(stored.source, len(stored.target.users)), stored.source.items.keys
    has_target, pairs = np.diff(target_start) > 0, stored.source_counts.interactions_of_user
    fitted = None
    if most_pairs is not None:
        sample = FitSample.from_counts(int(pairs[has_target].sum()), int(pairs[~has_target].sum()), most_pairs)
        fitted = None if sample.is_whole else sample.takes(stored.target.users.keys, has_target)
    subspace = Subspace.from_matrix(matrix if fitted is None else matrix.of_users(fitted), keys, rank)
    rows = subspace.rows(matrix)
    return regressed(rows, target_start, target_item, len(stored.target.items), rank, ridge, fitted)


def regressed(
    rows: Singles,
    target_start: Int64,
    target_item: Codes,
    n_target: int,
    rank: int,
    ridge: float,
    fitted: Mask | None = None,
) -> UserAffinity:
    """Regress target items on the source subspace coordinates of users; see `fit_affinity`.

    Args:
        rows: Shape (n_users, rank), zero for users without source events.
        target_start: Shape (n_users + 1,), start of each user's target items.
        target_item: Distinct target items by user.
        n_target: Number of target items.
        rank: Dimensions of the subspace.
        ridge: Penalty, above 0.
        fitted: Shape (n_users,), mask of the users to fit on; None for all.
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
    def from_pairs(
        cls, item_start: Int64, user: Codes, n_users: int, item_weight: Singles | None = None
    ) -> SourceMatrix:
        """Weight distinct (user, item), laid out by item: columns by degree or `item_weight`, then rows to norm 1."""
        taken = np.diff(item_start)
        if item_weight is None:
            item_weight = np.where(taken > 0, 1 / np.sqrt(np.maximum(taken, 1)), 0.0).astype(np.float32)
        squared = np.zeros((n_users, 1), np.float32)
        one = np.ones((len(taken), 1), np.float32)
        lowrank.sum_over_items(item_start, user, item_weight**2, one, (0, 1), squared)
        norm = np.sqrt(squared[:, 0])
        user_weight = np.divide(1, norm, out=np.zeros_like(norm), where=norm > 0)
        return cls(item_start, user, item_weight, user_weight)

    def of_users(self, selected: Mask) -> SourceMatrix:
        """Return the matrix of selected users, with the same codes."""
        keep = selected[self.user]
        before = np.concatenate([[0], np.cumsum(keep)]).astype(np.int64)
        return SourceMatrix.from_pairs(before[self.item_start], self.user[keep], len(self.user_weight))


@dataclass(frozen=True, slots=True, eq=False)
class Subspace:
    """Leading right singular vectors of the source matrix.

    Attributes:
        item_keys: Shape (n_items,), keys of source items.
        item_weight: Shape (n_items,); 0 for items without users in the fit.
        basis: Shape (n_items, rank), orthonormal columns.
    """

    item_keys: Keys
    item_weight: Singles
    basis: Singles

    @classmethod
    def from_matrix(cls, matrix: SourceMatrix, item_keys: Keys, rank: int) -> Subspace:
        """Approximate the leading right singular vectors of a matrix.

        Ridge regression is the same for every orthonormal basis of their subspace.
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
        """Return the subspace coordinates of the users of a matrix with the same items, shape (n_users, rank)."""
        n_users = len(matrix.user_weight)
        matrix = SourceMatrix.from_pairs(matrix.item_start, matrix.user, n_users, self.item_weight)
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
    return SourceMatrix.from_pairs(start, user, n_users)


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
