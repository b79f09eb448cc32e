"""Alternating least squares on confidences (the library `implicit`), with a link from scores to probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scalr.evaluation.kernels import factorization
from scalr.evaluation.models.link import LinkRows, fit_log_odds
from scalr.evaluation.models.mf import Factorization
from scalr.evaluation.models.pair_features import Mass
from scalr.evaluation.models.protocol import Examples
from scalr.foundation import Floats, Keys, Singles, TrainSettings, require_extra, rng

LEARNING_RATE, L2 = 1.0, 1.0  # ALS has no step size; default of the penalty
MAX_EPOCHS, PATIENCE = 15, 3
ALPHA = 30.0  # confidence of a row per unit of weight; an absent pair has confidence 1
HELD_BACK = 0.2  # share of the real pairs that fit the link; the factors behind these scores are fitted without them
FIRST_SPREAD = 0.01  # standard deviation of the initial factors, the default of `implicit`


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Training data of a factorisation, and the counts that its link uses.

    Attributes:
        matrix: Confidences, CSR of shape (n_users, n_items).
        popularity: Shape (n_items,), log(0.5 + real weight) of each item.
        activity: Shape (n_users,), log(1 + real weight) of each user.
    """

    matrix: Any
    popularity: Floats
    activity: Floats


def fit_als(examples: Examples, settings: TrainSettings, seed: int) -> Iterator[Factorization]:
    """Fit weighted regularised least squares; each epoch solves for all users and all items once.

    The weight of a pair is the sum of its real and synthetic weights; its confidence is `ALPHA` · weight. Scores are
    not probabilities, so a logistic link maps them to probabilities. The features of the link are the score, the log
    popularity of the item and the log activity of the user. The link is fitted on a hashed fifth of the real pairs with
    uniform negatives, with scores of a second factorisation that is trained without these pairs. It is then applied to
    the factors of all rows.

    The model has no auxiliary head: the objective `auxiliary` acts as `joint`. The link, with intercept and popularity,
    is fitted on real rows alone with every objective.

    Args:
        examples: Training rows.
        settings: Dimensions, penalty and negatives. Learning rate and popularity prior are not used.
        seed: Any integer.

    Raises:
        MissingExtraError: If implicit or scikit-learn is not installed.

    References:
        Hu, Koren, Volinsky 2008, Collaborative Filtering for Implicit Feedback Datasets, sec. 4.
    """
    require_extra("implicit", "models")
    require_extra("sklearn", "models")
    real, synthetic = (
        Mass.from_examples(examples, ~examples.is_synthetic),
        Mass.from_examples(examples, examples.is_synthetic),
    )
    chance = rng.keyed_units(seed, rng.Purpose.CALIBRATE, examples.user_keys[real.user], examples.item_keys[real.item])
    seen = chance >= HELD_BACK
    link_rows = _link_rows(examples, real, ~seen, settings.negatives, seed)
    wholes = _rows(real, synthetic, np.ones(len(seen), np.bool_)), _rows(real, synthetic, seen)
    solvers = [_Solver(rows, examples, settings, seed) for rows in wholes]
    while True:
        (users, items), fitted = (solver.step() for solver in solvers)
        link = _link(link_rows, wholes[1], fitted)
        yield _linked(link, wholes[0], users, items, examples)


class _Solver:
    """A factorisation that is trained epoch by epoch, on one thread for a fixed order of summation."""

    def __init__(self, rows: _Rows, examples: Examples, settings: TrainSettings, seed: int) -> None:
        from implicit.cpu.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits

        self._matrix, self._limits = rows.matrix, threadpool_limits
        with threadpool_limits(1):
            self._model = AlternatingLeastSquares(
                factors=settings.dimensions,
                regularization=L2 if settings.l2 is None else settings.l2,
                alpha=1.0,
                iterations=1,
                num_threads=1,
            )
        stream = rng.stream(seed, rng.Purpose.FIRST_PARAMETERS)

        def first(keys: Keys) -> Singles:
            return factorization.first_factors(keys, settings.dimensions, stream, FIRST_SPREAD)

        self._model.user_factors, self._model.item_factors = first(examples.user_keys), first(examples.item_keys)

    def step(self) -> tuple[Singles, Singles]:
        """Solve for users and items once; return copies of their factors."""
        with self._limits(1):
            self._model.fit(self._matrix, show_progress=False)
        return self._model.user_factors.copy(), self._model.item_factors.copy()


def _rows(real: Mass, synthetic: Mass, seen: npt.NDArray[np.bool_]) -> _Rows:
    """Return the confidences of the real pairs in `seen` and of all synthetic pairs.

    Counts are scaled to the total weight of all real pairs.
    """
    from scipy.sparse import csr_matrix

    shape = len(real.of_user), len(real.of_item)
    user, item = (np.concatenate([a[seen], b]) for a, b in ((real.user, synthetic.user), (real.item, synthetic.item)))
    weight = np.concatenate([real.weight[seen], synthetic.weight])
    summed = csr_matrix((weight, (user, item)), shape)
    summed.sum_duplicates()
    summed.data = (ALPHA * summed.data).astype(np.float32)
    whole = float(real.weight.sum()) / max(float(real.weight[seen].sum()), 1e-12)
    of_item, of_user = (
        whole * np.bincount(codes[seen], real.weight[seen], n)
        for codes, n in ((real.item, shape[1]), (real.user, shape[0]))
    )
    return _Rows(summed.astype(np.float32), np.log(of_item + 0.5), np.log1p(of_user))


def _link_rows(examples: Examples, real: Mass, held_back: npt.NDArray[np.bool_], negatives: int, seed: int) -> LinkRows:
    """Return the held-out pairs whose item and user also occur in the other pairs, each with its negatives."""
    n_users, n_items = len(real.of_user), len(real.of_item)
    is_known = np.bincount(real.item[~held_back], minlength=n_items) > 0
    has_history = np.bincount(real.user[~held_back], minlength=n_users) > 0
    keep = held_back & is_known[real.item] & has_history[real.user]
    catalogue = examples.catalogue[is_known[examples.catalogue]]
    user, first, width = real.user[keep], real.item[keep], negatives + 1
    item = np.empty((len(user), width), np.int32)
    item[:, 0] = first
    for slot in range(negatives):
        chance = rng.keyed_units(
            seed,
            rng.Purpose.TRAIN_NEGATIVES,
            examples.user_keys[user],
            examples.item_keys[first],
            np.full(len(user), slot, np.uint64),
        )
        item[:, slot + 1] = catalogue[(chance * len(catalogue)).astype(np.int64)]
    label = np.zeros(item.shape)
    label[:, 0] = 1.0
    return LinkRows(np.repeat(user, width), item.ravel(), label.ravel(), np.repeat(real.weight[keep], width))


def _link(link_rows: LinkRows, rows: _Rows, factors: tuple[Singles, Singles]) -> Floats:
    """Fit the link; return its intercept and the coefficients of score, popularity and activity, shape (4,)."""
    if len(link_rows.user) == 0:
        return np.array([0.0, 1.0, 0.0, 0.0])
    users, items = factors
    score = np.einsum("nd,nd->n", users[link_rows.user], items[link_rows.item]).astype(np.float64)
    columns = np.stack([score, rows.popularity[link_rows.item], rows.activity[link_rows.user]], axis=1)
    return fit_log_odds(columns, link_rows.label, link_rows.weight)


def _linked(link: Floats, rows: _Rows, users: Singles, items: Singles, examples: Examples) -> Factorization:
    """Return factors and biases that give the log-odds; activity becomes an additional dimension of the users."""
    intercept, score, popularity, activity = (float(one) for one in link)
    of_user = np.concatenate([score * users, activity * rows.activity[:, None]], axis=1).astype(np.float32)
    of_item = np.concatenate([items, np.ones((len(items), 1))], axis=1).astype(np.float32)
    bias = (popularity * rows.popularity).astype(np.float32)
    return Factorization(of_user, of_item, bias, np.float32(intercept), examples.fitted_until, examples.fitted_on)
