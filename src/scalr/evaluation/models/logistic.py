"""Logistic regression on labelled rows, with sparse one-hot features.

The features are users, items, columns of the item table, and crosses of users with items and columns. scikit-learn
fits the model; this module builds the design matrix. Synthetic rows share the crosses (the preferences of a user) with
real rows. With the objective `auxiliary`, synthetic rows have separate intercept, item and column effects, which are
not used at prediction. They then have no user effect: only real rows determine the activity level of a user.
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.foundation import Codes, DivergenceError, Floats, Int64, require_extra
from scalr.logs import ItemTable

EXTRA = "models"
BUCKETS = 10  # quantile buckets of a numeric column with more than this many distinct values
SOLVER = "newton-cg"  # converges in nine iterations; lbfgs stops too early on rare labels
MAX_ITERATIONS = 200
TOLERANCE = 1e-4


def one_thread_each() -> AbstractContextManager[Any]:
    """Return a context in which each fit uses one thread; concurrent fits with many threads are ten times slower.

    Raises:
        MissingExtraError: If the extra `models` (scikit-learn) is not installed.
    """
    require_extra("sklearn.linear_model", EXTRA)  # its libraries must be loaded before threadpoolctl can limit them
    limits: AbstractContextManager[Any] = require_extra("threadpoolctl", EXTRA).threadpool_limits(limits=1)
    return limits


@dataclass(frozen=True, slots=True, eq=False)
class ItemColumns:
    """Columns of the item table as categories.

    Attributes:
        names: Names of the columns.
        code: Shape (n_columns, n_items), category of each target item, -1 for a missing value.
        sizes: Number of categories of each column.
    """

    names: tuple[str, ...]
    code: npt.NDArray[np.int32]
    sizes: tuple[int, ...]


def item_columns(items: ItemTable | None, n_items: int) -> ItemColumns:
    """Return the columns of the item table as categories of target items.

    A numeric column with more than `BUCKETS` distinct values is split at its quantiles. Nested columns, constant
    columns and columns with a different value for each item are dropped, since they add nothing to the item effect.

    Args:
        items: The item table; None for no columns.
        n_items: Number of target items.
    """
    names, codes, sizes = [], [], []
    for name in () if items is None else items.target.column_names:
        assert items is not None
        column = items.target[name].combine_chunks()
        if pa.types.is_nested(column.type) or name.lower() == "domain":
            continue
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            column = _bucketed(column)
        coded = column.dictionary_encode() if not pa.types.is_dictionary(column.type) else column
        code = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        n_known, n_distinct = int((code >= 0).sum()), len(np.unique(code[code >= 0]))
        if 1 < n_distinct < n_known:
            names.append(name)
            codes.append(code)
            sizes.append(int(code.max()) + 1)
    return ItemColumns(tuple(names), np.array(codes, np.int32).reshape(len(codes), n_items), tuple(sizes))


def _bucketed(column: pa.Array) -> pa.Array:
    numbers = np.asarray(column.cast("float64").to_numpy(zero_copy_only=False), np.float64)
    known = np.isfinite(numbers)
    if len(np.unique(numbers[known])) <= BUCKETS:
        return column
    edges = np.unique(np.quantile(numbers[known], np.linspace(0, 1, BUCKETS + 1)))[1:-1]
    return pa.array(np.searchsorted(edges, numbers, side="right"), pa.int64(), mask=~known)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledRows:
    """Labelled training rows.

    Attributes:
        user: Shape (n,), user codes.
        item: Shape (n,), item codes.
        label: Shape (n,), 0 or 1.
        weight: Shape (n,), above 0.
        is_synthetic: Shape (n,), whether a row is synthetic.
    """

    user: Codes
    item: Codes
    label: npt.NDArray[np.int8]
    weight: Floats
    is_synthetic: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def summed(
        cls, user: Codes, item: Codes, label: npt.NDArray[np.int8], weight: Floats, *, synthetic: bool
    ) -> LabelledRows:
        """Merge rows with equal (user, item, label) and add their weights; the fit is the same on fewer rows.

        Args:
            user: Shape (n,), user codes.
            item: Shape (n,), item codes.
            label: Shape (n,), 0 or 1.
            weight: Shape (n,), at least 0; merged rows of weight 0 are dropped.
            synthetic: Whether the rows are synthetic.
        """
        width = int(item.max(initial=0)) + 1
        keys, place = np.unique((user.astype(np.int64) * width + item) * 2 + label, return_inverse=True)
        total = np.bincount(place, weight, len(keys)).astype(np.float64)
        keys, total = keys[total > 0], total[total > 0]
        both = keys // 2
        return cls(
            (both // width).astype(np.int32), (both % width).astype(np.int32), (keys % 2).astype(np.int8), total,
            np.full(len(keys), synthetic),
        )  # fmt: skip

    def joined(self, other: LabelledRows) -> LabelledRows:
        """Return these rows followed by the rows of `other`."""
        names = ("user", "item", "label", "weight", "is_synthetic")
        return LabelledRows(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names))

    def base_rate(self) -> float:
        """Return the weighted share of label 1, in [0, 1]."""
        return float(self.weight[self.label == 1].sum() / self.weight.sum())


class Design:
    """Sparse one-hot design matrix; its columns are the features that occur in the training rows.

    Args:
        rows: Training rows.
        columns: Categories of items.
        n_users: Number of users of the vocabulary.
        n_items: Number of target items of the vocabulary.
        auxiliary: Whether synthetic rows have separate effects.
    """

    def __init__(
        self, rows: LabelledRows, columns: ItemColumns, n_users: int, n_items: int, *, auxiliary: bool
    ) -> None:
        self._columns, self._n_users, self._n_items, self._auxiliary = columns, n_users, n_items, auxiliary
        numbers = self._numbers(rows.user, rows.item, rows.is_synthetic)
        self._known, place = np.unique(numbers, return_inverse=True)
        place = place.reshape(numbers.shape)
        self._drop = int(len(self._known) and self._known[0] < 0)  # -1 marks an absent feature
        self.matrix = self._sparse(place - self._drop, numbers >= 0)

    def of(self, user: Codes, item: Codes) -> Any:
        """Return the design matrix of real rows, CSR of shape (n, n_columns), without features that are new."""
        numbers = self._numbers(user, item, np.zeros(len(user), np.bool_))
        place = np.minimum(np.searchsorted(self._known, numbers), len(self._known) - 1)
        return self._sparse(place - self._drop, (self._known[place] == numbers) & (numbers >= 0))

    def _numbers(self, user: Codes, item: Codes, is_synthetic: npt.NDArray[np.bool_]) -> Int64:
        """Return the column number of each feature, shape (n, n_features_per_row), -1 for an absent feature."""
        own = is_synthetic & self._auxiliary
        head = own.astype(np.int64)
        start, found = 1, [np.where(own, 0, -1)]  # column 0: the intercept of synthetic rows
        found.append(np.where(own, -1, start + user.astype(np.int64)))
        start += self._n_users
        for code, size in ((np.arange(self._n_items), self._n_items), *zip(
            self._columns.code, self._columns.sizes, strict=True
        )):  # fmt: skip
            of_row = code[item].astype(np.int64)
            found.append(np.where(of_row < 0, -1, start + head * size + of_row))
            start += 2 * size
            found.append(np.where(of_row < 0, -1, start + user.astype(np.int64) * size + of_row))
            start += self._n_users * size
        return np.stack(found, axis=1)

    def _sparse(self, place: Int64, there: npt.NDArray[np.bool_]) -> Any:
        sparse = require_extra("scipy.sparse", EXTRA)
        ends = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
        indices = place[there].astype(np.int32)
        shape = (len(place), len(self._known) - self._drop)
        return sparse.csr_matrix((np.ones(len(indices)), indices, ends.astype(np.int32)), shape=shape)


@dataclass(frozen=True, slots=True, eq=False)
class Logistic:
    """A fitted, immutable model.

    Attributes:
        design: Builds the features of a row.
        coefficients: Shape (n_columns,), effect of each feature on the log-odds.
        intercept: Log-odds of a real row without features.
        trained_rate: Weighted share of positives among the rows that the predicting head was trained on.
    """

    design: Design
    coefficients: Floats
    intercept: float
    trained_rate: float

    def score(self, user: Codes, item: Codes) -> Floats:
        """Return P(label = 1) for each (user, item), shape (n,)."""
        logits = self.design.of(user, item) @ self.coefficients + self.intercept
        small = np.exp(-np.abs(logits))
        found: Floats = np.where(logits >= 0, 1.0, small) / (1.0 + small)
        return found


def fit_logistic(rows: LabelledRows, design: Design, l2: float, *, auxiliary: bool) -> Logistic:
    """Fit a logistic regression; the intercept is not penalised.

    Args:
        rows: Training rows with both labels.
        design: Design matrix of these rows.
        l2: Penalty, above 0: l2 / 2 times the sum of squared coefficients is added to the summed log loss.
        auxiliary: Whether synthetic rows have separate effects.

    Raises:
        MissingExtraError: If the extra `models` (scikit-learn) is not installed.
        DivergenceError: If the solver does not converge.
    """
    linear = require_extra("sklearn.linear_model", EXTRA)
    unsettled = require_extra("sklearn.exceptions", EXTRA).ConvergenceWarning
    model = linear.LogisticRegression(C=1.0 / l2, solver=SOLVER, max_iter=MAX_ITERATIONS, tol=TOLERANCE)
    with warnings.catch_warnings():
        warnings.simplefilter("error", unsettled)
        try:
            model.fit(design.matrix, rows.label, sample_weight=rows.weight)
        except unsettled as error:
            raise DivergenceError(
                f"the logistic regression did not converge in {MAX_ITERATIONS} iterations with a penalty of {l2:g}",
                expected="a penalty that is large enough for rare features",
                fix="raise conversions.penalties",
            ) from error
    predicting = ~rows.is_synthetic if auxiliary else np.ones(len(rows), np.bool_)
    positive = float(rows.weight[predicting & (rows.label == 1)].sum())
    rate = positive / float(rows.weight[predicting].sum())
    return Logistic(design, np.asarray(model.coef_[0], np.float64), float(model.intercept_[0]), rate)
