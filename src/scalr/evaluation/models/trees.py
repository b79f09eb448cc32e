"""Boosted trees (LightGBM) on features of pairs: popularity, activity, affinities and categories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from scalr.evaluation.models.pair_features import RISING, Mass, PairFeatures
from scalr.evaluation.models.protocol import Examples
from scalr.foundation import Codes, Floats, Singles, TrainSettings, require_extra, rng

LEARNING_RATE, L2 = 0.05, 1.0  # defaults
MAX_EPOCHS, PATIENCE = 60, 5
ROUNDS = 5  # boosting rounds per epoch
LEAVES = 7
LEAST_ROWS = 100  # minimum number of rows in a leaf
SYNTHETIC_PER_REAL = 2  # maximum number of labelled synthetic pairs per real pair; the others affect features only
SCORED_AT_ONCE = 1 << 19  # pairs per batch of `rank_scores`


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Labelled rows, each positive followed by its negatives.

    Attributes:
        columns: Shape (n, columns).
        label: Shape (n,), 0 or 1.
        weight: Shape (n,), above 0.
        offset: Shape (n,), initial log-odds.
    """

    columns: Singles
    label: npt.NDArray[np.float32]
    weight: Singles
    offset: Floats


@dataclass(slots=True, eq=False)
class _Scored:
    """Cached features and logits of the latest scored pairs; the next epoch evaluates only its new trees."""

    user: Codes = field(default_factory=lambda: np.zeros(0, np.int32))
    item: Codes = field(default_factory=lambda: np.zeros(0, np.int32))
    columns: Singles = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    logits: Floats = field(default_factory=lambda: np.zeros(0))
    epochs: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """The trees of the first `epochs` epochs of a booster; later epochs add trees but do not change these.

    Attributes:
        booster: A `lightgbm.Booster`.
        epochs: Number of epochs whose trees are used.
        features: Computes the features of pairs.
        with_kind: Whether the last column is 1 for synthetic rows.
        prior: Weight of the log popularity of an item in the initial log-odds.
        base: Constant term of the initial log-odds.
        fitted_until: Latest time of the training events; None without time.
        fitted_on: Digest of the target log that it was trained on.
    """

    booster: Any
    epochs: int
    features: PairFeatures
    with_kind: bool
    prior: float
    base: float
    fitted_until: int | None
    fitted_on: int
    _last: _Scored

    def score(self, user: Codes, item: Codes) -> Floats:
        """Return P(label = 1) for each (user, item), shape (n,)."""
        logits = self._remembered(user, item).astype(np.float64)
        small: Floats = np.exp(-np.abs(logits))
        return np.where(logits >= 0, 1.0, small) / (1.0 + small)

    def rank_scores(self, users: Codes) -> Singles:
        """Return logits, shape (n_users, all items); each pair is scored separately."""
        n_items = len(self.features.real.of_item)
        items = np.arange(n_items, dtype=np.int32)
        scores = np.empty((len(users), n_items), np.float32)
        size = max(SCORED_AT_ONCE // max(n_items, 1), 1)
        for first in range(0, len(users), size):
            block = users[first : first + size]
            user, item = np.repeat(block, n_items), np.tile(items, len(block))
            logits = self._grown(self._columns(user, item), self._offset(item), 0)
            scores[first : first + size] = logits.astype(np.float32).reshape(len(block), n_items)
        return scores

    def _remembered(self, user: Codes, item: Codes) -> Singles:
        """Return logits, shape (n,); for the cached pairs, only new trees are evaluated."""
        last = self._last
        if not (np.array_equal(last.user, user) and np.array_equal(last.item, item) and last.epochs):
            last = _Scored(user.copy(), item.copy(), self._columns(user, item), self._offset(item), 0)
        elif last.epochs > self.epochs:
            last = _Scored(user, item, last.columns, self._offset(item), 0)
        logits = self._grown(last.columns, last.logits, last.epochs)
        if self.epochs > last.epochs:
            self._last.user, self._last.item, self._last.columns = last.user, last.item, last.columns
            self._last.logits, self._last.epochs = logits, self.epochs
        return logits.astype(np.float32)

    def _grown(self, columns: Singles, logits: Floats, epochs: int) -> Floats:
        """Add the trees after the first `epochs` epochs to `logits`, epoch by epoch for a fixed order of summation."""
        for number in range(epochs, self.epochs):
            logits = logits + self.booster.predict(
                columns, raw_score=True, start_iteration=number * ROUNDS, num_iteration=ROUNDS, num_threads=1
            )
        return logits

    def _columns(self, user: Codes, item: Codes) -> Singles:
        return _with_kind(self.features.table(user, item), 0.0 if self.with_kind else None)

    def _offset(self, item: Codes) -> Floats:
        return self.base + self.prior * _log_popularity(self.features.real.of_item[item])


def fit_trees(examples: Examples, settings: TrainSettings, seed: int) -> Iterator[Trees]:
    """Boost trees on the log loss of labelled rows; each epoch adds `ROUNDS` rounds to the same booster.

    Positives of the same pair and kind are merged into a single row with their total weight. Its negatives depend only
    on the seed and the pair. Synthetic rows affect the model in two ways: they contribute to the features of users and
    items, and a sample of them, scaled to their total weight, is part of the labelled rows. With the objective
    `auxiliary`, an additional column marks synthetic rows; at prediction it has the value of real rows.

    Args:
        examples: Training rows.
        settings: Objective, dimensions of the affinities, learning rate, penalty, popularity prior and negatives.
        seed: Any integer.

    Raises:
        MissingExtraError: If LightGBM or SciPy is not installed.
    """
    lightgbm = require_extra("lightgbm", "models")
    require_extra("scipy", "models")
    features = PairFeatures.from_examples(examples, settings.dimensions, seed)
    with_kind = settings.objective == "auxiliary"
    base, prior = -float(np.log(settings.negatives)), settings.popularity_prior or 0.0
    table = labelled(examples, features, settings, seed, base)
    names = [*features.names, *(["is synthetic"] if with_kind else [])]
    data = lightgbm.Dataset(
        table.columns,
        table.label,
        weight=table.weight,
        init_score=table.offset,
        feature_name=[f"c{place}_{_plain(name)}" for place, name in enumerate(names)],
        categorical_feature=list(features.categorical),
        params={"verbose": -1, "num_threads": 1, "max_bin": 255},
        free_raw_data=True,
    )
    parameters = {
        "objective": "binary",
        "learning_rate": LEARNING_RATE if settings.learning_rate is None else settings.learning_rate,
        "lambda_l2": L2 if settings.l2 is None else settings.l2,
        "num_leaves": LEAVES,
        "min_data_in_leaf": LEAST_ROWS,
        "monotone_constraints": [int(name in RISING) for name in names],
        "boost_from_average": False,
        "seed": seed % (1 << 31),
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbose": -1,
    }
    booster, last = lightgbm.Booster(parameters, data), _Scored()
    epochs = 0
    while True:
        for _ in range(ROUNDS):
            booster.update()
        epochs += 1
        yield Trees(booster, epochs, features, with_kind, prior, base, examples.fitted_until, examples.fitted_on, last)


def labelled(
    examples: Examples, features: PairFeatures, settings: TrainSettings, seed: int, base: float = 0.0
) -> Table:
    """Return the labelled training rows, real rows first; see `fit_trees`.

    Args:
        examples: Training rows.
        features: Features of the same rows.
        settings: Objective, popularity prior and negatives.
        seed: Any integer.
        base: Constant term of the initial log-odds.
    """
    real = features.real
    # An item without any other row would not be in the catalogue, so it would never be scored.
    again = real.of_item[real.item] - real.weight > 1e-6
    kinds: list[tuple[Mass, Floats, bool, Codes]] = [
        (_chosen(real, again), real.weight[again], False, examples.catalogue),
    ]
    if len(features.synthetic.user):
        other = examples.catalogue if examples.synthetic_catalogue is None else examples.synthetic_catalogue
        kinds.append((*_sampled(features, examples, seed), True, other))
    parts: list[tuple[Singles, Floats, Floats, Codes]] = []
    width = settings.negatives + 1
    for mass, weight, is_synthetic, catalogue in kinds:
        keys = examples.user_keys[mass.user], examples.item_keys[mass.item]
        item = np.empty((len(mass.user), width), np.int32)
        item[:, 0] = mass.item
        for slot in range(settings.negatives):
            number = np.full(len(mass.user), 2 * slot + is_synthetic, np.uint64)
            chance = rng.keyed_units(seed, rng.Purpose.TRAIN_NEGATIVES, *keys, number)
            item[:, slot + 1] = catalogue[(chance * len(catalogue)).astype(np.int64)]
        user, held = np.repeat(mass.user, width), np.repeat(mass.item, width)
        columns = features.table(user, item.ravel(), held, held_is_synthetic=is_synthetic)
        kind = (1.0 if is_synthetic else 0.0) if settings.objective == "auxiliary" else None
        own = 0.0 if is_synthetic else np.where(item.ravel() == held, np.repeat(weight, width), 0.0)
        popularity = _log_popularity(features.real.of_item[item.ravel()] - own)
        parts.append((_with_kind(columns, kind), np.repeat(weight, width), popularity, user))
    columns, weight, popularity = (np.concatenate([part[place] for part in parts]) for place in range(3))
    label = np.zeros(len(weight), np.float32)
    label[::width] = 1.0
    offset = base + (settings.popularity_prior or 0.0) * popularity
    return Table(columns, label, weight.astype(np.float32), offset)


def _sampled(features: PairFeatures, examples: Examples, seed: int) -> tuple[Mass, Floats]:
    """Return a sample of synthetic pairs, and their weights scaled to the total weight of all synthetic pairs."""
    mass, most = features.synthetic, SYNTHETIC_PER_REAL * len(features.real.user)
    if len(mass.user) <= most:
        return mass, mass.weight
    chance = rng.keyed_units(seed, rng.Purpose.LABELLED, examples.user_keys[mass.user], examples.item_keys[mass.item])
    keep = chance <= np.partition(chance, most - 1)[most - 1]
    weight = mass.weight[keep] * (mass.weight.sum() / mass.weight[keep].sum())
    return _chosen(mass, keep), weight


def _chosen(mass: Mass, keep: npt.NDArray[np.bool_]) -> Mass:
    return replace(mass, user=mass.user[keep], item=mass.item[keep], weight=mass.weight[keep])


def _with_kind(columns: Singles, kind: float | None) -> Singles:
    if kind is None:
        return columns
    return np.concatenate([columns, np.full((len(columns), 1), kind, np.float32)], axis=1)


def _log_popularity(mass: Floats) -> Floats:
    """Return log(mass + 0.5), shape (n,); a negative mass counts as 0."""
    popularity: Floats = np.log(np.maximum(mass, 0.0) + 0.5)
    return popularity


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in name)
