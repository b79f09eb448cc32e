"""Logistic matrix factorisation: an intercept, item biases, and the inner product of user and item factors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from scalr.evaluation.kernels import factorization
from scalr.evaluation.kernels.factorization import Negatives, Parameters
from scalr.evaluation.models.prior import REAL, SYNTHETIC, item_prior, other_catalogue
from scalr.evaluation.models.protocol import Examples
from scalr.foundation import (
    LANES,
    Codes,
    ConfigError,
    Floats,
    Keys,
    Singles,
    TrainSettings,
    combine_keys,
    line_zeros,
    rng,
)

LEARNING_RATE, L2 = 0.1, 0.05  # defaults
FIRST_SPREAD = (
    0.05  # standard deviation of the initial factors; 0.01 learns slowly, 0.1 adds too much noise for cold users
)
AVERAGING = np.float32(0.5)  # weight of the earlier epochs in the yielded model
LARGEST_STEP = 4.0  # maximum weight of a gradient step; the step is 0.4 at the default rate 0.1, which is safe
MOST_PARTS = 20  # maximum growth of the number of rows by splitting; larger weights suggest another unit


@dataclass(frozen=True, slots=True, eq=False)
class Factorization:
    """Fitted factors with the biases of the real head.

    Attributes:
        user_factors: Shape (n_users, dimensions). Users without rows keep their initial, near-zero factors.
        item_factors: Shape (n_items, dimensions).
        item_bias: Shape (n_items,), biases of the real head.
        intercept: Intercept of the real head.
        fitted_until: Latest time of the training events; None without time.
        fitted_on: Digest of the target log that it was trained on.
    """

    user_factors: Singles
    item_factors: Singles
    item_bias: Singles
    intercept: np.float32
    fitted_until: int | None
    fitted_on: int | None

    def score(self, user: Codes, item: Codes) -> Floats:
        """Return P(label = 1) for each (user, item), shape (n,)."""
        parameters = (self.user_factors, self.item_factors, self.item_bias, self.intercept)
        logits = factorization.pair_scores(*parameters, user, item).astype(np.float64)
        # exp takes only numbers up to 0, so it cannot overflow.
        small: Floats = np.exp(-np.abs(logits))
        return np.where(logits >= 0, 1.0, small) / (1.0 + small)

    def rank_scores(self, users: Codes) -> Singles:
        """Return logits, shape (n_users, all items)."""
        columns = np.ascontiguousarray(self.item_factors.T)
        scores: Singles = factorization.block_scores(self.user_factors, columns, self.item_bias, self.intercept, users)
        return scores


def fit_factorization(
    examples: Examples, settings: TrainSettings, seed: int, *, lesson: Callable[[Parameters, int], None] | None = None
) -> Iterator[Factorization]:
    """Fit by stochastic gradient descent with a constant step size; each step uses a positive and its negatives.

    With a constant step size the parameters keep fluctuating. Each yielded model is therefore an exponentially weighted
    average of the parameters after each epoch so far, with half of the weight on the last epoch (after Polyak and
    Juditsky 1992).

    The intercept starts at log(1 / negatives), the log-odds of a positive among its negatives. An item bias starts at
    `popularity_prior` times the log popularity of the item among the rows of the head, and the penalty pulls it towards
    that value. A prior of 1 suits logs with stable popularity; 0 suits logs with drifting popularity.

    Args:
        examples: Training rows.
        settings: Objective, dimensions, learning rate, penalty and negatives.
        seed: Any integer.
        lesson: Called after each epoch with the parameters, which it may change, and the epoch number from 0.

    Raises:
        ConfigError: If weights are too large; see `in_steps`.
    """
    examples, (learning_rate, penalty) = in_steps(examples), rates(settings)
    head = np.array([REAL, SYNTHETIC if settings.objective == "auxiliary" else REAL], np.uint8)
    l2 = np.array([penalty, settings.synthetic_penalty * penalty], np.float32)
    rows, parameters = _rows(examples), _first_parameters(examples, settings, seed, head)
    order_key = rng.stream(seed, rng.Purpose.TRAIN_ORDER)
    negatives_key = rng.stream(seed, rng.Purpose.TRAIN_NEGATIVES)
    catalogues = (examples.catalogue, other_catalogue(examples))
    average: Factorization | None = None
    for epoch in count():
        order = factorization.visiting_order(examples.n_first, len(examples), order_key, epoch)
        negatives = Negatives(catalogues, settings.negatives, _numbered(negatives_key, epoch), examples.n_first)
        factorization.run_epoch(parameters, rows, order, head, negatives, learning_rate, l2)
        if lesson is not None:
            lesson(parameters, epoch)
        now = _real_head(parameters, settings.dimensions, examples)
        average = now if average is None else _mixed(average, now)
        yield average


def _rows(examples: Examples) -> npt.NDArray[Any]:
    """Return the rows in the layout of the kernel, shape (n,), of dtype `factorization.ROW`."""
    rows = np.empty(len(examples), factorization.ROW)
    rows["user"], rows["item"], rows["weight"] = examples.user, examples.item, examples.weight
    rows["kind"] = examples.is_synthetic
    return rows


def _first_parameters(
    examples: Examples, settings: TrainSettings, seed: int, head: npt.NDArray[np.uint8]
) -> Parameters:
    user_factors, item_factors = (
        _first_factors(keys, settings.dimensions, _stream(seed, side))
        for side, keys in enumerate((examples.user_keys, examples.item_keys))
    )
    strength = np.float32(settings.popularity_prior or 0.0)
    return Parameters(
        user_factors,
        item_factors,
        item_bias=np.zeros((2, len(examples.item_keys)), np.float32),
        item_prior=strength * item_prior(examples, head[examples.is_synthetic.astype(np.int32)]),
        intercept=np.full(2, -np.log(settings.negatives), np.float32),
    )


def _real_head(parameters: Parameters, dimensions: int, examples: Examples) -> Factorization:
    """Return copies of the parameters of the real head."""
    return Factorization(
        np.ascontiguousarray(parameters.user_factors[:, :dimensions]),
        np.ascontiguousarray(parameters.item_factors[:, :dimensions]),
        parameters.item_prior[REAL] + parameters.item_bias[REAL],
        parameters.intercept[REAL],
        examples.fitted_until,
        examples.fitted_on,
    )


def _mixed(earlier: Factorization, now: Factorization) -> Factorization:
    share = np.float32(1) - AVERAGING
    return replace(
        now,
        user_factors=AVERAGING * earlier.user_factors + share * now.user_factors,
        item_factors=AVERAGING * earlier.item_factors + share * now.item_factors,
        item_bias=AVERAGING * earlier.item_bias + share * now.item_bias,
        intercept=np.float32(AVERAGING * earlier.intercept + share * now.intercept),
    )


def _first_factors(keys: Keys, dimensions: int, stream: np.uint64) -> Singles:
    """Return the initial factors, padded to a multiple of `LANES` with zeros that training does not change."""
    factors = line_zeros((len(keys), -(-dimensions // LANES) * LANES))
    factors[:, :dimensions] = factorization.first_factors(keys, dimensions, stream, FIRST_SPREAD)
    return factors


def rates(settings: TrainSettings) -> tuple[float, float]:
    """Return step size and penalty, with the defaults of the model for values that are None."""
    return (
        LEARNING_RATE if settings.learning_rate is None else settings.learning_rate,
        L2 if settings.l2 is None else settings.l2,
    )


def in_steps(examples: Examples) -> Examples:
    """Split each row with a weight above `LARGEST_STEP` into several rows of equal weight.

    Merged duplicates may have a weight of hundreds. A single step with such a weight would overshoot and diverge.

    Raises:
        ConfigError: If the number of rows would grow by more than a factor of `MOST_PARTS`.
    """
    parts = np.maximum(np.ceil(examples.weight / LARGEST_STEP), 1.0)
    if parts.sum() > MOST_PARTS * max(len(examples), 1000):
        raise ConfigError(
            f"event weights are as large as {examples.weight.max():g}, {examples.weight.mean():g} on average",
            expected=f"weights around 1; model 'mf' accepts at most {MOST_PARTS * LARGEST_STEP:g} on average",
            fix="divide the weights by their mean, or lower synthetic_weight",
        )
    if parts.max(initial=1.0) == 1.0:
        return examples
    times = parts.astype(np.int64)
    return replace(
        examples,
        user=np.repeat(examples.user, times),
        item=np.repeat(examples.item, times),
        weight=np.repeat((examples.weight / parts).astype(np.float32), times),
        time=None,
        is_synthetic=np.repeat(examples.is_synthetic, times),
        n_first=int(times[: examples.n_first].sum()),
    )


def _stream(seed: int, side: int) -> np.uint64:
    """Return the random key of the initial parameters of users (side 0) or items (side 1)."""
    return _numbered(rng.stream(seed, rng.Purpose.FIRST_PARAMETERS), side)


def _numbered(key: np.uint64, number: int) -> np.uint64:
    return np.uint64(combine_keys(np.array([key], np.uint64), np.array([number], np.uint64))[0])
