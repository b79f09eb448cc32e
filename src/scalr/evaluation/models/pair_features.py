"""What a row (user, item) of a table looks like to a model that learns from columns, with the row itself left out.

A training row must look as if it had not happened yet: its own event would tell its label. So whatever is counted of
user and item is counted without the row that is `held`, and the factors behind affinities are those of other users.
What synthetic events say cannot be told without it, since the translation saw the row's event and passed it on to
other users' synthetic events: real rows that are held do not see these columns, which only synthetic rows teach.
Synthetic events of exactly the pair that is asked about are never counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalr.evaluation.models.features import Categories
from scalr.evaluation.models.protocol import Examples
from scalr.foundation import Codes, Floats, Int64, Keys, Singles, lowrank, rng

USER_FOLDS = 5  # factors for a training row come from the users of the other folds
POWER_STEPS = 4  # of the subspace iteration; affinities change no more after three on the logs that were tried
CATEGORY_SMOOTHING = 5.0  # events that a user's shares of categories borrow from all users
LEAST_MASS = 1e-9  # below which nothing is left but rounding
AFFINITIES = ("real affinity", "synthetic affinity", "affinity")
RISING = ("real popularity", *AFFINITIES)  # more of these never makes a label of 1 less likely


@dataclass(frozen=True, slots=True, eq=False)
class Mass:
    """Summed weights of rows of one kind, real or synthetic, by distinct (user, item).

    Attributes:
        user: Shape (n,), codes.
        item: Shape (n,), codes; pairs stand by user, then item.
        weight: Shape (n,), above 0.
        of_user: Shape (n_users,).
        of_item: Shape (n_items,).
    """

    user: Codes
    item: Codes
    weight: Floats
    of_user: Floats
    of_item: Floats

    @classmethod
    def from_examples(cls, examples: Examples, rows: npt.NDArray[np.bool_]) -> Mass:
        """Add up the chosen rows."""
        n_users, n_items = len(examples.user_keys), len(examples.item_keys)
        cell = examples.user[rows].astype(np.int64) * n_items + examples.item[rows]
        distinct, place = np.unique(cell, return_inverse=True)
        weight = np.bincount(place, examples.weight[rows], len(distinct)).astype(np.float64)
        user, item = (distinct // n_items).astype(np.int32), (distinct % n_items).astype(np.int32)
        totals = np.bincount(user, weight, n_users), np.bincount(item, weight, n_items)
        return cls(user, item, weight, *(total.astype(np.float64) for total in totals))

    def at(self, user: Codes, item: Codes) -> Floats:
        """Return the weight of each pair, shape (n,), 0 where it has no row."""
        n_items = len(self.of_item)
        return _found(
            self.user.astype(np.int64) * n_items + self.item, self.weight, user.astype(np.int64), n_items, item
        )


def _found(cells: Int64, weight: Floats, major: Int64, width: int, minor: Codes) -> Floats:
    """Return the weight of cell major · width + minor among ascending `cells`; 0 where there is none."""
    if not len(cells):
        return np.zeros(len(major))
    query = major * width + minor
    place = np.minimum(np.searchsorted(cells, query), len(cells) - 1)
    return np.where(cells[place] == query, weight[place], 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """Item factors of the mixed rows, and users folded in.

    Attributes:
        scale: Shape (n_items,), what an item's weights are multiplied by: mass ** -1/2, 0 without mass.
        item: Shape (n_items, rank), orthonormal columns.
        real: Shape (n_users, rank), sums of scaled factors over a user's real rows.
        synthetic: Likewise of synthetic rows.
    """

    scale: Floats
    item: Singles
    real: Singles
    synthetic: Singles


def fit_pair_factors(real: Mass, synthetic: Mass, keys: Keys, stream: np.uint64, rank: int, left_out: Codes) -> Factors:
    """Return the leading right singular vectors of the scaled matrix of all users but `left_out`.

    Rows of users are scaled by mass ** -1/2, columns of items likewise (the linear graph filter of GF-CF).

    Args:
        real: Real rows.
        synthetic: Synthetic rows, in the weights that they have for training.
        keys: Keys by item code, which the first columns are hashes of.
        stream: Key of the first columns.
        rank: Number of vectors.
        left_out: Users whose rows do not count; they are folded in all the same.

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
    """Pairs, and the weights that are not to count: of the held real row, of the pair's own and the held synthetic."""

    user: Codes
    item: Codes
    held: Codes | None
    real_held: Floats
    own: Floats
    synthetic_held: Floats


@dataclass(frozen=True, slots=True, eq=False)
class PairFeatures:
    """Columns for any (user, item), from the rows that a model is trained on.

    Attributes:
        real: Real rows.
        synthetic: Synthetic rows.
        categories: Columns of the item table that group items.
        numbers: Columns that measure items.
        fold_of: Shape (n_users,), each user's fold.
        folds: Factors without the users of each fold, then those of all users.
    """

    real: Mass
    synthetic: Mass
    categories: Mapping[str, Categories]
    numbers: Mapping[str, Floats]
    fold_of: Codes
    folds: tuple[Factors, ...]

    @classmethod
    def from_examples(cls, examples: Examples, rank: int, seed: int) -> PairFeatures:
        """Count the rows and fit the factors; all that is random hangs on the seed and on keys."""
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
        """Return the names of the columns, as many as `table` has."""
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
        """Return the places of the columns that hold codes."""
        return tuple(self.names.index(name) for name in self.categories)

    def table(self, user: Codes, item: Codes, held: Codes | None = None, *, held_is_synthetic: bool = False) -> Singles:
        """Return one row of columns per pair, shape (n, len(names)), NaN where nothing is known or may be seen.

        Args:
            user: Shape (n,), codes.
            item: Shape (n,), codes.
            held: Shape (n,), items of the user's rows that are to look as if they had not happened; None for none.
            held_is_synthetic: Whether these are synthetic rows.
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
        """Look up the weights that do not count."""
        none = np.zeros(len(user))
        own = self.synthetic.at(user, item)
        if held is None:
            return _Query(user, item, None, none, own, none)
        if held_is_synthetic:
            return _Query(user, item, held, none, own, np.where(held == item, 0.0, self.synthetic.at(user, held)))
        return _Query(user, item, held, self.real.at(user, held), own, none)

    def _shares(self, query: _Query, categories: Categories, activity: tuple[Floats, Floats]) -> list[Floats]:
        """Return the share of the item's category in the user's real and in its synthetic rows, smoothed."""
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
        """Return the weight of the user's rows of a category, shape (n,)."""
        cell = mass.user.astype(np.int64) * categories.size + categories.codes[mass.item]
        distinct, place = np.unique(cell, return_inverse=True)
        weight = np.bincount(place, mass.weight, len(distinct)).astype(np.float64)
        return _found(distinct, weight, user.astype(np.int64), categories.size, code)

    def _affinities(self, query: _Query, activity: tuple[Floats, Floats]) -> list[Floats]:
        """Return the affinity by real rows, by synthetic rows, and by both, each per unit of weight."""
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
    """Return the inner products of rows, shape (n,)."""
    products: Floats = np.einsum("nd,nd->n", one, other).astype(np.float64)
    return products
