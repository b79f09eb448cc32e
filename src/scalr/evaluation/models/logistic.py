"""Logistic regression on labelled rows: users, items, columns of the item table, and crosses of users with both.

The fit is scikit-learn's; here is only which columns a row has. Synthetic rows share the crosses (what a user takes)
with real rows. With the objective `auxiliary` they have an intercept, item and column effects of their own, which are
left out at prediction, and none of the user's: how much a user takes at all is for real rows to say.
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
BUCKETS = 10  # of a column of numbers with more distinct ones than this, with about equally many items each
SOLVER = "newton-cg"  # nine iterations where lbfgs stops early on rare labels
MAX_ITERATIONS = 200
TOLERANCE = 1e-4


def one_thread_each() -> AbstractContextManager[Any]:
    """Keep each fit to one thread while it lasts: several at a time, with many threads each, take ten times as long.

    Raises:
        MissingExtraError: Without the extra `models` (scikit-learn).
    """
    require_extra("sklearn.linear_model", EXTRA)  # the libraries that are to be kept must be there
    limits: AbstractContextManager[Any] = require_extra("threadpoolctl", EXTRA).threadpool_limits(limits=1)
    return limits


@dataclass(frozen=True, slots=True, eq=False)
class ItemColumns:
    """Columns of the item table as categories.

    Attributes:
        names: Name of each.
        code: Shape (n_columns, n_items), category of each target item, -1 for unknown.
        sizes: Categories of each.
    """

    names: tuple[str, ...]
    code: npt.NDArray[np.int32]
    sizes: tuple[int, ...]


def item_columns(items: ItemTable | None, n_items: int) -> ItemColumns:
    """Return what is known about target items as categories.

    Numbers fall into `BUCKETS` buckets where they are many. Columns that are nested, that say the same of all items, or
    something else of each item, are left out: they would add nothing to the item itself.
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
    """Rows to learn from.

    Attributes:
        user: Shape (n,), codes.
        item: Shape (n,), codes.
        label: Shape (n,), 0 or 1.
        weight: Shape (n,), above 0.
        is_synthetic: Shape (n,).
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
        """Return one row per distinct (user, item, label) with the sum of its weights: the same to a fit, but smaller.

        Args:
            user: Shape (n,), codes, as the next three.
            item: Codes.
            label: 0 or 1.
            weight: At least 0; rows without weight are left out.
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
        """Return these rows, then others."""
        names = ("user", "item", "label", "weight", "is_synthetic")
        return LabelledRows(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names))

    def base_rate(self) -> float:
        """Return the share of label 1, by weight."""
        return float(self.weight[self.label == 1].sum() / self.weight.sum())


class Design:
    """Which columns a row has, by number; columns exist where a row of `rows` has them.

    Args:
        rows: The rows to learn from.
        columns: What is known about items.
        n_users: Users of the vocabulary.
        n_items: Target items of the vocabulary.
        auxiliary: Whether synthetic rows have effects of their own.
    """

    def __init__(
        self, rows: LabelledRows, columns: ItemColumns, n_users: int, n_items: int, *, auxiliary: bool
    ) -> None:
        self._columns, self._n_users, self._n_items, self._auxiliary = columns, n_users, n_items, auxiliary
        numbers = self._numbers(rows.user, rows.item, rows.is_synthetic)
        self._known, place = np.unique(numbers, return_inverse=True)
        place = place.reshape(numbers.shape)
        self._drop = int(len(self._known) and self._known[0] < 0)  # -1 stands for no column
        self.matrix = self._sparse(place - self._drop, numbers >= 0)

    def of(self, user: Codes, item: Codes) -> Any:
        """Return real rows as a sparse matrix; what no row to learn from had is left out."""
        numbers = self._numbers(user, item, np.zeros(len(user), np.bool_))
        place = np.minimum(np.searchsorted(self._known, numbers), len(self._known) - 1)
        return self._sparse(place - self._drop, (self._known[place] == numbers) & (numbers >= 0))

    def _numbers(self, user: Codes, item: Codes, is_synthetic: npt.NDArray[np.bool_]) -> Int64:
        """Return the column numbers of each row, shape (n, columns of a row), -1 for none."""
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
    """A fitted model; it never changes.

    Attributes:
        design: Which columns a row has.
        coefficients: Shape (n_columns,), log-odds of each.
        intercept: Log-odds of a real row without columns.
        trained_rate: Share of positives, by weight, among the rows whose head predicts.
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
        rows: What to learn from, labels of both kinds among them.
        design: The columns of these rows.
        l2: Half of it times the sum of squared coefficients is added to the summed log loss; above 0.
        auxiliary: Whether synthetic rows have effects of their own.

    Raises:
        MissingExtraError: Without the extra `models` (scikit-learn).
        DivergenceError: If the solver does not settle.
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
                f"the logistic regression did not settle in {MAX_ITERATIONS} iterations with a penalty of {l2:g}",
                expected="a penalty that holds rare columns back",
                fix="raise conversions.penalties",
            ) from error
    predicting = ~rows.is_synthetic if auxiliary else np.ones(len(rows), np.bool_)
    positive = float(rows.weight[predicting & (rows.label == 1)].sum())
    rate = positive / float(rows.weight[predicting].sum())
    return Logistic(design, np.asarray(model.coef_[0], np.float64), float(model.intercept_[0]), rate)
