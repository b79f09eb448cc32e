"""Features of (user, item) pairs for models on tables, computed without the training row itself.

A training row must not affect its own features, since its event would reveal its label. Counts of the user and the
item therefore exclude the `held` row, and its affinities use factors that were fitted on other users. Features from
synthetic events cannot exclude a real row: the translation was fitted on its event, which affects the synthetic events
of other users. These features are therefore missing (NaN) for real training rows, and models learn them from synthetic
rows only. Synthetic events of the queried pair itself are never counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalr.evaluation.models.features import Categories
from scalr.evaluation.models.protocol import Examples
from scalr.foundation import Codes, Floats, Int64, Keys, Singles, lowrank, rng

USER_FOLDS = 5  # the factors for a training row are fitted on the users of the other folds
POWER_STEPS = 4  # steps of the subspace iteration; on the logs we tried, affinities were stable after three
CATEGORY_SMOOTHING = 5.0  # prior events, distributed as the events of all users, in the category shares of a user
LEAST_MASS = 1e-9  # a smaller weight is a rounding error
AFFINITIES = ("real affinity", "synthetic affinity", "affinity")
RISING = ("real popularity", *AFFINITIES)  # monotone features: P(label = 1) does not decrease with them


@dataclass(frozen=True, slots=True, eq=False)
class Mass:
    """Summed weights of rows of one kind, real or synthetic, by distinct (user, item).

    Attributes:
        user: Shape (n,), user codes.
        item: Shape (n,), item codes; pairs are sorted by user, then item.
        weight: Shape (n,), above 0.
        of_user: Shape (n_users,), total weight of each user.
        of_item: Shape (n_items,), total weight of each item.
    """

    user: Codes
    item: Codes
    weight: Floats
    of_user: Floats
    of_item: Floats

    @classmethod
    def from_examples(cls, examples: Examples, rows: npt.NDArray[np.bool_]) -> Mass:
        """Sum the weights of the selected rows by pair.

        Args:
            examples: Training rows.
            rows: Shape (len(examples),), mask of the selected rows.
        """
        n_users, n_items = len(examples.user_keys), len(examples.item_keys)
        cell = examples.user[rows].astype(np.int64) * n_items + examples.item[rows]
        distinct, place = np.unique(cell, return_inverse=True)
        weight = np.bincount(place, examples.weight[rows], len(distinct)).astype(np.float64)
        user, item = (distinct // n_items).astype(np.int32), (distinct % n_items).astype(np.int32)
        totals = np.bincount(user, weight, n_users), np.bincount(item, weight, n_items)
        return cls(user, item, weight, *(total.astype(np.float64) for total in totals))

    def at(self, user: Codes, item: Codes) -> Floats:
        """Return the weight of each (user, item), shape (n,), 0 for a pair without rows."""
        n_items = len(self.of_item)
        return _found(
            self.user.astype(np.int64) * n_items + self.item, self.weight, user.astype(np.int64), n_items, item
        )


def _found(cells: Int64, weight: Floats, major: Int64, width: int, minor: Codes) -> Floats:
    """Return the weight of each cell major · width + minor, shape (n,), 0 if it is not in the ascending `cells`."""
    if not len(cells):
        return np.zeros(len(major))
    query = major * width + minor
    place = np.minimum(np.searchsorted(cells, query), len(cells) - 1)
    return np.where(cells[place] == query, weight[place], 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """Item factors of real and synthetic rows together, and the user vectors that follow from them.

    Attributes:
        scale: Shape (n_items,), factor for the weights of each item: mass ** -1/2, or 0 without mass.
        item: Shape (n_items, rank), orthonormal columns.
        real: Shape (n_users, rank), weighted sum of scaled item factors over the real rows of each user.
        synthetic: Shape (n_users, rank), the same over synthetic rows.
    """

    scale: Floats
    item: Singles
    real: Singles
    synthetic: Singles


def fit_pair_factors(real: Mass, synthetic: Mass, keys: Keys, stream: np.uint64, rank: int, left_out: Codes) -> Factors:
    """Return the leading right singular vectors of the scaled user-item matrix without the users in `left_out`.

    Each row and each column is scaled by mass ** -1/2 (the linear graph filter of GF-CF).

    Args:
        real: Real rows.
        synthetic: Synthetic rows with their training weights.
        keys: Keys by item code; the initial vectors are hashes of the keys.
        stream: Random key of the initial vectors.
        rank: Number of vectors.
        left_out: Codes of users whose rows do not affect the item factors. They get user vectors like all others.

    References:
        Shen et al. 2021, How Powerful is Graph Convolution for Recommendation?, sec. 4.
    """
    from scipy.sparse import csr_matrix, diags_array

    shape = len(real.of_user), len(real.of_item)
    of_real, of_synthetic = (csr_matrix((one.weight, (one.user, one.item)), shape) for one in (real, synthetic))
    counts = np.ones(shape[0])
    counts[left_out] = 0.0
    both = diags_array(counts) @ (of_real + of_synthetic)
    scale_user, scale = (_inverse_root(np.asarray(both.sum(axis))) for axis in (1, 0))
    scaled = (diags_array(scale_user) @ both @ diags_array(scale)).astype(np.float32).tocsr()
    item = lowrank.first_columns(keys, rank, stream)
    everyone = np.arange(shape[1], dtype=np.int32)
    for _ in range(POWER_STEPS):
        item = np.ascontiguousarray(scaled.T @ (scaled @ item), dtype=np.float32)
        lowrank.orthonormal_rows(item, lowrank.cholesky(lowrank.gram(item, everyone)))
    weighted = (scale[:, None] * item).astype(np.float32)
    folded = [np.asarray(one.astype(np.float32) @ weighted, np.float32) for one in (of_real, of_synthetic)]
    return Factors(scale, item, *folded)


def _inverse_root(mass: Floats) -> Floats:
    roots: Floats = np.zeros(len(mass))
    np.power(mass, -0.5, out=roots, where=mass > 0)
    return roots


@dataclass(frozen=True, slots=True, eq=False)
class _Query:
    """Queried pairs and the weights that their features exclude, shape (n,) each.

    Attributes:
        user: User codes.
        item: Item codes.
        held: Items of the held rows; None for none.
        real_held: Real weight of (user, held).
        own: Synthetic weight of (user, item).
        synthetic_held: Synthetic weight of (user, held), 0 where `held` is `item`.
    """

    user: Codes
    item: Codes
    held: Codes | None
    real_held: Floats
    own: Floats
    synthetic_held: Floats


@dataclass(frozen=True, slots=True, eq=False)
class PairFeatures:
    """Features of any (user, item), computed from the training rows.

    Attributes:
        real: Real rows.
        synthetic: Synthetic rows.
        categories: Categorical columns of the item table.
        numbers: Numeric columns of the item table.
        fold_of: Shape (n_users,), fold of each user.
        folds: Factors without the users of each fold, then the factors of all users.
    """

    real: Mass
    synthetic: Mass
    categories: Mapping[str, Categories]
    numbers: Mapping[str, Floats]
    fold_of: Codes
    folds: tuple[Factors, ...]

    @classmethod
    def from_examples(cls, examples: Examples, rank: int, seed: int) -> PairFeatures:
        """Sum the rows and fit the factors; all randomness depends on the seed and the keys only."""
        real, synthetic = (
            Mass.from_examples(examples, ~examples.is_synthetic),
            Mass.from_examples(examples, examples.is_synthetic),
        )
        stream = rng.stream(seed, rng.Purpose.FIRST_PARAMETERS)
        chance = rng.keyed_units(0, rng.Purpose.FEATURE_FOLDS, examples.user_keys)
        fold_of = (chance * USER_FOLDS).astype(np.int32)
        left_out = [np.flatnonzero(fold_of == fold).astype(np.int32) for fold in range(USER_FOLDS)]
        folds = tuple(
            fit_pair_factors(real, synthetic, examples.item_keys, stream, rank, users)
            for users in (*left_out, np.zeros(0, np.int32))
        )
        tables = examples.item_features
        return cls(real, synthetic, tables.categories, tables.numbers, fold_of, folds)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns of `table`."""
        counted = [f"{kind} {name}" for name in self.categories for kind in ("real share of", "synthetic share of")]
        return (
            "real popularity",
            "synthetic popularity",
            "real activity",
            "synthetic activity",
            *AFFINITIES,
            *counted,
            *self.categories,
            *self.numbers,
        )

    @property
    def categorical(self) -> tuple[int, ...]:
        """Return the positions of the categorical columns."""
        return tuple(self.names.index(name) for name in self.categories)

    def table(self, user: Codes, item: Codes, held: Codes | None = None, *, held_is_synthetic: bool = False) -> Singles:
        """Return the features of each pair, shape (n, len(names)), NaN for a missing or hidden value.

        Args:
            user: Shape (n,), user codes.
            item: Shape (n,), item codes.
            held: Shape (n,), item codes; the features exclude the row (user, held). None excludes no row.
            held_is_synthetic: Whether the excluded rows are synthetic.
        """
        query = self._query(user, item, held, held_is_synthetic)
        activity = (
            np.maximum(self.real.of_user[user] - query.real_held, 0.0),
            np.maximum(self.synthetic.of_user[user] - query.own - query.synthetic_held, 0.0),
        )
        popularity = (
            np.maximum(self.real.of_item[item] - np.where(held == item, query.real_held, 0.0), 0.0),
            np.maximum(self.synthetic.of_item[item] - query.own, 0.0),
        )
        columns = [np.log1p(one) for one in (*popularity, *activity)]
        columns += self._affinities(query, activity)
        for categories in self.categories.values():
            columns += self._shares(query, categories, activity)
        columns += [categories.codes[item] for categories in self.categories.values()]
        columns += [numbers[item] for numbers in self.numbers.values()]
        if held is not None and not held_is_synthetic:
            for place, name in enumerate(self.names):
                if name in ("synthetic popularity", "synthetic affinity") or name.startswith("synthetic share"):
                    columns[place] = np.full(len(user), np.nan)
            columns[self.names.index("affinity")] = columns[self.names.index("real affinity")]
        return np.stack(columns, axis=1).astype(np.float32)

    def _query(self, user: Codes, item: Codes, held: Codes | None, held_is_synthetic: bool) -> _Query:
        """Look up the weights that the features exclude; see `table`."""
        none = np.zeros(len(user))
        own = self.synthetic.at(user, item)
        if held is None:
            return _Query(user, item, None, none, own, none)
        if held_is_synthetic:
            return _Query(user, item, held, none, own, np.where(held == item, 0.0, self.synthetic.at(user, held)))
        return _Query(user, item, held, self.real.at(user, held), own, none)

    def _shares(self, query: _Query, categories: Categories, activity: tuple[Floats, Floats]) -> list[Floats]:
        """Return the smoothed share of the item's category in the real and in the synthetic rows of the user."""
        code, columns = categories.codes, []
        of_item = code[query.item]
        same = np.zeros(len(of_item), np.bool_) if query.held is None else code[query.held] == of_item
        gone = query.real_held, query.own + query.synthetic_held
        gone_here = np.where(same, query.real_held, 0.0), query.own + np.where(same, query.synthetic_held, 0.0)
        for mass, out, here, total in zip((self.real, self.synthetic), gone, gone_here, activity, strict=True):
            counted = np.maximum(self._of_category(mass, categories, query.user, of_item) - here, 0.0)
            of_all = np.bincount(code, mass.of_item, categories.size)[of_item] - here
            usual = np.maximum(of_all, 0.0) / np.maximum(mass.of_item.sum() - out, LEAST_MASS)
            columns.append((counted + CATEGORY_SMOOTHING * usual) / (total + CATEGORY_SMOOTHING))
        return columns

    def _of_category(self, mass: Mass, categories: Categories, user: Codes, code: Codes) -> Floats:
        """Return the total weight of the rows with this user and category, shape (n,)."""
        cell = mass.user.astype(np.int64) * categories.size + categories.codes[mass.item]
        distinct, place = np.unique(cell, return_inverse=True)
        weight = np.bincount(place, mass.weight, len(distinct)).astype(np.float64)
        return _found(distinct, weight, user.astype(np.int64), categories.size, code)

    def _affinities(self, query: _Query, activity: tuple[Floats, Floats]) -> list[Floats]:
        """Return the affinities from real, synthetic and all rows, per unit of weight, shape (n,) each."""
        user, item, held = query.user, query.item, query.held
        sums = np.zeros((2, len(user)))
        fold_of = np.full(len(user), USER_FOLDS) if held is None else self.fold_of[user]
        for fold in np.unique(fold_of):
            rows = np.flatnonzero(fold_of == fold)
            factors, of_item = self.folds[fold], item[rows]
            vector, scale = factors.item[of_item], factors.scale[of_item]
            sums[0, rows] = _products(factors.real[user[rows]], vector)
            sums[1, rows] = _products(factors.synthetic[user[rows]], vector)
            sums[1, rows] -= query.own[rows] * scale * _products(vector, vector)
            if held is not None:
                between = factors.scale[held[rows]] * _products(factors.item[held[rows]], vector)
                sums[0, rows] -= query.real_held[rows] * between
                sums[1, rows] -= query.synthetic_held[rows] * between
            roots = np.zeros(len(rows))
            np.divide(1.0, scale, out=roots, where=scale > 0)
            sums[:, rows] *= roots
        parts = [*zip(sums, activity, strict=True), (sums.sum(0), activity[0] + activity[1])]
        return [np.where(total > LEAST_MASS, one / np.maximum(total, LEAST_MASS), 0.0) for one, total in parts]


def _products(one: Singles, other: Singles) -> Floats:
    """Return the inner product of each pair of rows, shape (n,)."""
    products: Floats = np.einsum("nd,nd->n", one, other).astype(np.float64)
    return products
