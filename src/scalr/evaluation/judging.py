"""Judge predictions: of a model for a fold's new pairs (`evaluate`), or of probabilities for impressions (`judge`).

Both report metrics by segment and keep the users' contributions, so that arms can be compared by resampling users. A
model is judged on sampled negatives and on ranked lists; impressions have labels of their own and are not ranked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scalr.evaluation.folds import SEGMENTS, Fold, ImpressionFold, segment_mask
from scalr.evaluation.kernels.ranking import top_items
from scalr.evaluation.metrics import predictive, ranking
from scalr.evaluation.models import Model
from scalr.foundation import Codes, EvaluateSettings, Floats, Int64, Keys, Mask, Receipt, SchemaError, Stopwatch, rng
from scalr.logs import catalogue_of

BLOCK_SCORES = 1 << 22  # scores in memory at a time: 16 MB
METRICS = ("normalized_entropy", "log_loss", "auc", "calibration_ratio")
"""Metrics of impressions."""


@dataclass(frozen=True, slots=True, eq=False)
class PerUser:
    """Contributions of the judged users to the metrics, to compare arms by resampling users.

    Attributes:
        user: Shape (n,), codes of the judged users, ascending.
        keys: Shape (n,), their keys.
        is_cold: Shape (n,).
        is_naturally_cold: Shape (n,).
        pairs: Shape (n,), judged pairs of the user, at least 1.
        sums: By metric, shape (n,). Every judged pair has the same number of negatives, so for two arms the ratio of
            the sums over any users is the ratio of the metric: log loss in nats for `normalized_entropy` and
            `log_loss`, predictions for `calibration_ratio`, and recall and NDCG themselves, NaN for users whose
            lists are not judged.
    """

    user: Codes
    keys: Keys
    is_cold: Mask
    is_naturally_cold: Mask
    pairs: npt.NDArray[np.int64]
    sums: Mapping[str, Floats]

    def in_segment(self, segment: str) -> Mask:
        """Return whether each user belongs to one of `SEGMENTS`, shape (n,)."""
        return segment_mask(segment, ~self.is_cold, self.is_naturally_cold)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Metrics of a model on a fold.

    Attributes:
        segments: By segment (`SEGMENTS`) and metric name; None where a segment has no judged pairs.
        pairs: Judged pairs by segment.
        users: Judged users by segment.
        per_user: The users' contributions, for a bootstrap.
        receipt: Rows and seconds.
    """

    segments: Mapping[str, Mapping[str, float | None]]
    pairs: Mapping[str, int]
    users: Mapping[str, int]
    per_user: PerUser
    receipt: Receipt

    def user_sums(self, segment: str, metric: str) -> tuple[Floats, Keys] | None:
        """Return the contributions of a segment's users to a metric, and their keys; None for AUC and item coverage."""
        if metric not in self.per_user.sums:
            return None
        sums = self.per_user.sums[metric]
        is_member = self.per_user.in_segment(segment) & ~np.isnan(sums)
        return sums[is_member], self.per_user.keys[is_member]

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return metrics by segment, with the numbers of judged pairs and users."""
        return {
            segment: {**values, "pairs": self.pairs[segment], "users": self.users[segment]}
            for segment, values in self.segments.items()
        }


def evaluation_of(fields: Mapping[str, Any]) -> Evaluation:
    """Restore an evaluation from its fields (`dataclasses.asdict`)."""
    per_user, receipt = PerUser(**fields["per_user"]), Receipt(**fields["receipt"])
    return Evaluation(**{**fields, "per_user": per_user, "receipt": receipt})


def evaluate(model: Model, fold: Fold, settings: EvaluateSettings | None = None, seed: int = 0) -> Evaluation:
    """Compute predictive and ranking metrics on a fold's judged pairs, for all users and each of `SEGMENTS`.

    Predictive metrics use each judged pair with uniform negatives from the items of the catalogue that the user is not
    known to like (`predictive.labelled_rows`), which are the same for every model of a seed. Ranking metrics rank the
    whole catalogue without the items that the user had before the period (hidden events included, since only new pairs
    are judged) and average over at most `ranked_users` users. A user is cold without a target event that may be fitted,
    and naturally cold without one before the period, hidden events included.

    Args:
        model: The model to judge.
        fold: The judged pairs, and the visible events.
        settings: Negatives per pair, length and number of lists; defaults if None.
        seed: Determines the negatives.

    Raises:
        LeakError: If the model saw the judged period, or was trained on other target events than the fold's.
        SchemaError: If the fold has no judged pair, or the model's probabilities are not numbers.
    """
    settings = settings or EvaluateSettings()
    fold.guard(model.fitted_until, "the model")
    fold.guard_log(model.fitted_on, "the model")
    if not len(fold.user):
        raise SchemaError(
            f"the {fold.name} fold judges no pair",
            expected="at least one new pair of a known user and item in the judged period",
            fix="choose a larger --test-share or an earlier --test-from",
        )
    table = metrics(settings.top)
    with Stopwatch() as watch:
        judged = _Judged.from_model(model, fold, settings, seed)
        users = judged.users
        keys = fold.pair.target.users.keys[users]
        sums = {metric.name: metric.by_user(judged) for metric in table if metric.by_user is not None}
        per_user = PerUser(users, keys, fold.is_cold(users), fold.is_naturally_cold(users), judged.n_pairs, sums)
        members = {segment: per_user.in_segment(segment) for segment in SEGMENTS}
        segments = {
            segment: {metric.name: metric.value(judged, mask) if mask.any() else None for metric in table}
            for segment, mask in members.items()
        }
    return Evaluation(
        segments,
        {segment: int(judged.n_pairs[mask].sum()) for segment, mask in members.items()},
        {segment: int(mask.sum()) for segment, mask in members.items()},
        per_user,
        watch.receipt("evaluate", len(fold.user), len(judged.users)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """Predictions and lists of one model for the judged users of a fold.

    Attributes:
        users: Shape (n_users,), codes, ascending.
        n_pairs: Shape (n_users,), judged pairs of each user.
        row_user: Shape (n_rows,), position in `users` of each labelled row.
        label: Shape (n_rows,), 1 for judged pairs, 0 for negatives.
        probability: Shape (n_rows,), predicted P(label = 1).
        is_ranked: Shape (n_users,), whether the user's list is judged.
        lists: Shape (n_ranked, top), item codes; -1 for empty places.
        hits: Shape (n_ranked, top), whether the place holds a judged item.
        n_catalogue: Items that could be recommended.
    """

    users: Codes
    n_pairs: Int64
    row_user: Int64
    label: npt.NDArray[np.int8]
    probability: Floats
    is_ranked: Mask
    lists: Codes
    hits: Mask
    n_catalogue: int

    @classmethod
    def from_model(cls, model: Model, fold: Fold, settings: EvaluateSettings, seed: int) -> _Judged:
        """Score the labelled rows and rank the catalogue for the ranked users."""
        users, place, n_pairs = np.unique(fold.user, return_inverse=True, return_counts=True)
        rows = predictive.labelled_rows(fold, settings.negatives, seed)
        is_ranked = _ranked(fold.pair.target.users.keys[users], settings.ranked_users)
        empty = np.empty((0, settings.top), np.int32)
        lists = np.concatenate([empty, *_top_lists(model, fold, users[is_ranked], settings.top)])
        return cls(
            users,
            n_pairs,
            np.repeat(place, settings.negatives + 1),
            rows.label,
            model.score(rows.user, rows.item),
            is_ranked,
            lists,
            _hits(fold, users[is_ranked], lists),
            len(catalogue_of(fold.pair.target)),
        )

    def sum_by_user(self, values: Floats) -> Floats:
        """Return the sums of row values by user, shape (n_users,)."""
        return np.bincount(self.row_user, values, len(self.users)).astype(np.float64)

    def losses(self) -> Floats:
        """Return log loss in nats summed by user, shape (n_users,)."""
        return self.sum_by_user(predictive.row_losses(self.label, self.probability))

    def predictions(self) -> Floats:
        """Return probabilities summed by user, shape (n_users,)."""
        return self.sum_by_user(self.probability)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of a model on a fold.

    Attributes:
        name: Its name in `study.json`.
        value: Computes it for the users of a mask, shape (n_users,), at least one; None where it is undefined.
        by_user: Computes the users' contributions, shape (n_users,); see `PerUser.sums`. None where the metric is not a
            ratio of sums over users.
    """

    name: str
    value: Callable[[_Judged, Mask], float | None]
    by_user: Callable[[_Judged], Floats] | None = None


def metrics(top: int) -> tuple[Metric, ...]:
    """Return all metrics of a model, those of lists of length `top` last."""
    return (
        _of_rows("normalized_entropy", _Judged.losses),
        _of_rows("calibration_ratio", _Judged.predictions),
        _of_rows("log_loss", _Judged.losses),
        _of_rows("auc"),
        _of_lists(f"recall@{top}", ranking.recall),
        _of_lists(f"ndcg@{top}", ranking.ndcg),
        Metric(f"item_coverage@{top}", _coverage),
    )


def metric_names(top: int) -> tuple[str, ...]:
    """Return the names of the metrics, with the length of the ranked lists in the last three."""
    return tuple(metric.name for metric in metrics(top))


_PREDICTIVE: Mapping[str, Callable[[npt.NDArray[np.int8], Floats], float]] = {
    "normalized_entropy": predictive.normalized_entropy,
    "log_loss": predictive.log_loss,
    "auc": predictive.auc,
    "calibration_ratio": predictive.calibration_ratio,
}


def _of_rows(name: str, by_user: Callable[[_Judged], Floats] | None = None) -> Metric:
    """Return a metric of labelled rows."""

    def value(judged: _Judged, users: Mask) -> float:
        is_member = users[judged.row_user]
        return _PREDICTIVE[name](judged.label[is_member], judged.probability[is_member])

    return Metric(name, value, by_user)


def _of_lists(name: str, formula: Callable[[Mask, Int64], Floats]) -> Metric:
    """Return a metric of ranked lists, averaged over ranked users; contributions of other users are NaN."""

    def by_user(judged: _Judged) -> Floats:
        values = np.full(len(judged.users), np.nan)
        values[judged.is_ranked] = formula(judged.hits, judged.n_pairs[judged.is_ranked])
        return values

    def value(judged: _Judged, users: Mask) -> float | None:
        is_member = users & judged.is_ranked
        return float(by_user(judged)[is_member].mean()) if is_member.any() else None

    return Metric(name, value, by_user)


def _coverage(judged: _Judged, users: Mask) -> float | None:
    is_member = users[judged.is_ranked]
    return ranking.item_coverage(judged.lists[is_member], judged.n_catalogue) if is_member.any() else None


def _ranked(keys: Keys, most: int | None) -> Mask:
    """Return whether the list of each user is judged, shape (n,): those of the `most` users with smallest hashes."""
    if most is None or len(keys) <= most:
        return np.ones(len(keys), np.bool_)
    if most == 0:
        return np.zeros(len(keys), np.bool_)
    chance = rng.keyed_units(0, rng.Purpose.JUDGED_USERS, keys)
    is_ranked: Mask = chance <= np.partition(chance, most - 1)[most - 1]
    return is_ranked


def _top_lists(model: Model, fold: Fold, users: Codes, top: int) -> Iterator[Codes]:
    """Yield the best new items for blocks of users, shape (users of the block, top); -1 for empty places."""
    catalogue, target = catalogue_of(fold.pair.target), fold.seen
    order = np.argsort(target.user, kind="stable")
    seen = target.item[order]
    start = np.concatenate([[0], np.cumsum(np.bincount(target.user, minlength=len(target.users)))])
    size = max(BLOCK_SCORES // max(len(target.items), 1), 1)
    for first in range(0, len(users), size):
        block = users[first : first + size]
        lengths = start[block + 1] - start[block]
        ends = np.cumsum(lengths)
        rows = np.arange(ends[-1]) + np.repeat(start[block] - (ends - lengths), lengths)
        block_start = np.concatenate([[0], ends])
        yield top_items(model.rank_scores(block), catalogue, block_start, seen[rows], top)


def _hits(fold: Fold, users: Codes, lists: Codes) -> Mask:
    """Return whether each place of each user's list holds a judged item, shape (n_users, top)."""
    n_items = len(fold.pair.target.items)
    judged = np.sort(fold.user.astype(np.int64) * n_items + fold.item)
    listed = users.astype(np.int64)[:, None] * n_items + lists
    is_judged: Mask = judged[np.minimum(np.searchsorted(judged, listed), len(judged) - 1)] == listed
    return is_judged & (lists >= 0)


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """Metrics of predicted probabilities on a fold's impressions.

    Attributes:
        segments: By segment and metric; None where a segment has labels of a single class.
        user: Shape (n_users,), codes of the judged users, ascending.
        loss: By segment, shape (n_users,): log loss in nats, summed over each user's impressions in the segment.
    """

    segments: Mapping[str, Mapping[str, float | None]]
    user: Codes
    loss: Mapping[str, Floats]


def judge(judged: ImpressionFold, probabilities: Floats) -> Judgement:
    """Compute the metrics of predictions for a fold's impressions, for all users and each of `SEGMENTS`.

    Normalized entropy divides by the entropy of the segment's base rate.

    Args:
        judged: The fold.
        probabilities: Shape (n,), P(label = 1) of its impressions.
    """
    losses = predictive.row_losses(judged.label, probabilities)
    users, place = np.unique(judged.user, return_inverse=True)
    segments: dict[str, dict[str, float | None]] = {}
    sums: dict[str, Floats] = {}
    for segment in SEGMENTS:
        is_member = judged.in_segment(segment)
        sums[segment] = np.bincount(place[is_member], losses[is_member], len(users)).astype(np.float64)
        label, predicted = judged.label[is_member], probabilities[is_member]
        has_both = len(np.unique(label)) == 2
        segments[segment] = {name: _PREDICTIVE[name](label, predicted) if has_both else None for name in METRICS}
    return Judgement(segments, users.astype(np.int32), sums)


def user_keys(judged: ImpressionFold, users: Codes) -> Keys:
    """Return the keys of users, for a bootstrap that does not depend on the order of rows."""
    return judged.fold.pair.target.users.keys[users]
