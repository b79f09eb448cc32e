"""Metrics of predicted probabilities, and the labelled rows that they are computed on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalr.evaluation.folds import Fold
from scalr.foundation import Codes, Floats, Int64, SchemaError, combine_keys, rng
from scalr.logs import catalogue_of

FLOOR = 1e-12  # keeps the log finite; far smaller than predictions in single precision


@dataclass(frozen=True, slots=True, eq=False)
class JudgedRows:
    """Judged pairs, each followed by its negatives.

    Attributes:
        user: Shape (n,), user codes.
        item: Shape (n,), item codes.
        label: Shape (n,), 1 for a judged pair, 0 for a negative.
    """

    user: Codes
    item: Codes
    label: npt.NDArray[np.int8]


def labelled_rows(fold: Fold, negatives: int, seed: int) -> JudgedRows:
    """Return the judged pairs of a fold, each with negatives from the catalogue that its user is not known to like.

    The negatives of a pair are uniform draws, with repetition, from the items of the catalogue without those of which
    the user has a positive event before the period (hidden events included) or a judged pair. A user who likes the
    whole catalogue has no such item; the negatives of that user are drawn from the whole catalogue. A draw is a hash
    of the seed, the keys of the pair and the number of the negative, so all models and arms are judged on the same
    rows, in any order.

    Args:
        fold: Fold with the judged pairs: all or none of a user's pairs.
        negatives: Negatives per pair, at least 1.
        seed: Any integer.
    """
    target = fold.pair.target
    catalogue, width = catalogue_of(target), negatives + 1
    keys = combine_keys(target.users.keys[fold.user], target.items.keys[fold.item])
    slots = np.tile(np.arange(negatives, dtype=np.uint64), len(keys))
    chance = rng.keyed_units(seed, rng.Purpose.TEST_NEGATIVES, np.repeat(keys, negatives), slots)
    item = np.empty((len(keys), width), np.int32)
    item[:, 0] = fold.item
    item[:, 1:] = catalogue[_unknown_places(fold, catalogue, negatives, chance)].reshape(-1, negatives)
    label = np.zeros((len(keys), width), np.int8)
    label[:, 0] = 1
    return JudgedRows(np.repeat(fold.user, width), item.ravel(), label.ravel())


def _unknown_places(fold: Fold, catalogue: Codes, negatives: int, chance: Floats) -> Int64:
    """Return places in the catalogue, shape (n,), that numbers in [0, 1) choose among the items not known to be liked.

    A user with k known items, at ascending places p, has n - k others. The r-th other item is at place r + m, where m
    is the number of known items with p[j] - j <= r: one search finds it, and nothing is drawn twice.
    """
    n = len(catalogue)
    cell = _known_cells(fold, catalogue)
    user, known = cell // n, np.bincount(cell // n, minlength=len(fold.pair.target.users))
    first = np.cumsum(known) - known
    gaps = cell - (np.arange(len(cell)) - first[user])
    judged = np.repeat(fold.user.astype(np.int64), negatives)
    likes_all = (known == n)[judged]
    others = (chance * np.where(likes_all, n, (n - known)[judged])).astype(np.int64)
    before = np.searchsorted(gaps, judged * n + others, side="right") - first[judged]
    places: Int64 = np.where(likes_all, others, others + before)
    return places


def _known_cells(fold: Fold, catalogue: Codes) -> Int64:
    """Return user * catalogue size + place in the catalogue of the items that judged users are known to like, sorted.

    Known are the positive events before the period, hidden ones included, and the judged pairs.
    """
    place = np.full(len(fold.pair.target.items), -1, np.int64)
    place[catalogue] = np.arange(len(catalogue))
    is_judged = np.zeros(len(fold.pair.target.users), np.bool_)
    is_judged[fold.user] = True
    seen = fold.seen.positives()
    known = is_judged[seen.user] & (place[seen.item] >= 0)
    user = np.concatenate([seen.user[known], fold.user]).astype(np.int64)
    item = place[np.concatenate([seen.item[known], fold.item])]
    return np.unique(user * len(catalogue) + item)


def row_losses(labels: npt.NDArray[np.int8], probabilities: Floats, *, floor: float = FLOOR) -> Floats:
    """Return the log loss of each row in nats, shape (n,).

    Args:
        labels: Shape (n,), 0 or 1.
        probabilities: Shape (n,), predicted P(label = 1).
        floor: Clips probabilities to [floor, 1 - floor] so the log is finite.

    Raises:
        SchemaError: If shapes differ or a probability is not a number.
    """
    if labels.shape != probabilities.shape or labels.ndim != 1:
        raise SchemaError(
            f"labels of shape {labels.shape} do not fit probabilities of shape {probabilities.shape}",
            expected="two arrays of shape (n,)",
            fix="pass one probability per label",
        )
    if np.isnan(probabilities).any():
        raise SchemaError(
            f"{int(np.isnan(probabilities).sum())} of {len(probabilities)} probabilities are not a number",
            expected="probabilities in [0, 1]",
            fix="lower the learning rate: the model has diverged",
        )
    right = np.where(labels == 1, probabilities, 1.0 - probabilities)
    losses: Floats = -np.log(np.clip(right, floor, 1.0 - floor))
    return losses


def log_loss(labels: npt.NDArray[np.int8], probabilities: Floats, *, floor: float = FLOOR) -> float:
    """Return the mean log loss in nats, at least 0; lower is better. See `row_losses`."""
    return float(row_losses(labels, probabilities, floor=floor).mean())


def base_rate_entropy(rate: float) -> float:
    """Return the expected log loss in nats of the constant prediction `rate`, in (0, 1), if `rate` is the base rate."""
    return float(-(rate * np.log(rate) + (1 - rate) * np.log(1 - rate)))


def normalized_entropy(labels: npt.NDArray[np.int8], probabilities: Floats, *, floor: float = FLOOR) -> float:
    """Divide the mean log loss by the log loss of the constant prediction of the base rate.

    A value below 1 beats the base rate; lower is better. The base rate is the mean of `labels`.

    Args:
        labels: Shape (n,), 0 or 1, both present.
        probabilities: Shape (n,), predicted P(label = 1).
        floor: Clips probabilities to [floor, 1 - floor] so the log is finite.

    Raises:
        SchemaError: If shapes differ, a probability is not a number, or `labels` holds one class only.

    References:
        He et al. 2014, Practical Lessons from Predicting Clicks on Ads, sec. 3.

    Example:
        >>> import numpy as np
        >>> normalized_entropy(np.array([1, 0, 0, 0], np.int8), np.full(4, 0.25))
        1.0
    """
    _refuse_one_class(labels)
    return log_loss(labels, probabilities, floor=floor) / base_rate_entropy(float(np.mean(labels)))


def calibration_ratio(labels: npt.NDArray[np.int8], probabilities: Floats) -> float:
    """Divide the sum of predictions by the sum of labels; 1 is ideal, a value above 1 means over-prediction.

    Raises:
        SchemaError: If no label is 1.
    """
    if not labels.any():
        _refuse_one_class(labels)
    return float(probabilities.sum() / labels.sum())


def auc(labels: npt.NDArray[np.int8], probabilities: Floats) -> float:
    """Return P(a random positive is ranked above a random negative), in [0, 1]; a tie counts half, chance is 0.5.

    Args:
        labels: Shape (n,), 0 or 1, both present.
        probabilities: Shape (n,), any score that increases with P(label = 1).

    Raises:
        SchemaError: If `labels` holds one class only.
    """
    _refuse_one_class(labels)
    _, place, count = np.unique(probabilities, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count - 1) / 2  # mean rank, from 1, of each group of ties
    n_positive = int(labels.sum())
    n_negative = len(labels) - n_positive
    ranks = float(middle[place][labels == 1].sum())
    return (ranks - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)


def _refuse_one_class(labels: npt.NDArray[np.int8]) -> None:
    if len(labels) == 0 or labels.min() == labels.max():
        found = f"{len(labels)} labels, all {labels[0]}" if len(labels) else "no labels"
        raise SchemaError(f"there are {found}", expected="labels 0 and 1, both present", fix="evaluate on more rows")
