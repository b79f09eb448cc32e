"""Judge a trained model on a fold's new pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scalr.evaluation.folds import Fold, ImpressionFold
from scalr.evaluation.kernels.ranking import top_items
from scalr.evaluation.metrics import predictive, ranking
from scalr.evaluation.models import Model
from scalr.foundation import Codes, EvaluateSettings, Floats, Keys, Mask, Receipt, SchemaError, Stopwatch, rng
from scalr.logs import catalogue_of

SEGMENTS = ("all", "warm", "cold")
BLOCK_SCORES = 1 << 22  # scores held at a time: 16 MB


def metric_names(top: int) -> tuple[str, ...]:
    """Return the names of the metrics, with the length of the ranked lists in the last three."""
    lists = (f"recall@{top}", f"ndcg@{top}", f"item_coverage@{top}")
    return ("normalized_entropy", "calibration_ratio", "log_loss", "auc", *lists)


@dataclass(frozen=True, slots=True, eq=False)
class PerUser:
    """What each judged user adds to the metrics, to compare arms by resampling users.

    Attributes:
        user: Shape (n,), codes of the judged users, ascending.
        keys: Shape (n,), their keys.
        is_cold: Shape (n,).
        pairs: Shape (n,), judged pairs of the user, at least 1.
        sums: By metric, shape (n,). Every judged pair has the same number of negatives, so for two arms the ratio of
            the sums over any users is the ratio of the metric: log loss in nats for `normalized_entropy` and
            `log_loss`, predictions for `calibration_ratio`, and recall and NDCG themselves, NaN for users whose
            lists are not judged.
    """

    user: Codes
    keys: Keys
    is_cold: Mask
    pairs: npt.NDArray[np.int64]
    sums: Mapping[str, Floats]

    def in_segment(self, segment: str) -> Mask:
        """Say for each user, shape (n,), whether it belongs to "all", "warm" or "cold"."""
        return {"all": np.ones(len(self.user), np.bool_), "warm": ~self.is_cold, "cold": self.is_cold}[segment]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """How good a model is on a fold.

    Attributes:
        segments: By segment ("all", "warm", "cold") and metric name; None where a segment has no judged pairs.
        pairs: Judged pairs by segment.
        users: Judged users by segment.
        per_user: What each user adds, for a bootstrap.
        receipt: Rows and seconds.
    """

    segments: Mapping[str, Mapping[str, float | None]]
    pairs: Mapping[str, int]
    users: Mapping[str, int]
    per_user: PerUser
    receipt: Receipt

    def user_sums(self, segment: str, metric: str) -> tuple[Floats, Keys] | None:
        """Return a segment's per-user numbers of a metric and the users' keys; None for AUC and item coverage."""
        if metric not in self.per_user.sums:
            return None
        sums = self.per_user.sums[metric]
        chosen = self.per_user.in_segment(segment) & ~np.isnan(sums)
        return sums[chosen], self.per_user.keys[chosen]

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return metrics by segment, with the segment's judged pairs and users."""
        return {
            segment: {**values, "pairs": self.pairs[segment], "users": self.users[segment]}
            for segment, values in self.segments.items()
        }


def evaluation_of(kept: Mapping[str, Any]) -> Evaluation:
    """Return the evaluation whose fields, by `dataclasses.asdict`, were kept."""
    per_user, receipt = PerUser(**kept["per_user"]), Receipt(**kept["receipt"])
    return Evaluation(**{**kept, "per_user": per_user, "receipt": receipt})


def evaluate(model: Model, fold: Fold, settings: EvaluateSettings | None = None, seed: int = 0) -> Evaluation:
    """Compute predictive and ranking metrics on a fold's judged pairs, for all users, warm and cold ones.

    Predictive metrics use each judged pair with uniform negatives from the catalogue, the same for every model of a
    seed. Ranking metrics rank the whole catalogue without what the user had before the period (hidden or
    not, since only new pairs are judged) and average over users, `ranked_users` of them at most. A user
    is cold without a target event that may be fitted.

    Args:
        model: What to judge.
        fold: Its judged pairs, and what was visible.
        settings: Negatives per pair, length and number of lists; defaults if None.
        seed: Chooses the negatives.

    Raises:
        LeakError: If the model saw the judged period, or was trained on other target events than the fold's.
        SchemaError: If the fold judges no pair, or the model's probabilities are not numbers.
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
    names = metric_names(settings.top)
    with Stopwatch() as watch:
        users, place, n_pairs = np.unique(fold.user, return_inverse=True, return_counts=True)
        rows = predictive.labelled_rows(fold, settings.negatives, seed)
        probabilities = model.score(rows.user, rows.item)
        losses = predictive.row_losses(rows.label, probabilities)
        keys = fold.pair.target.users.keys[users]
        is_ranked = _ranked(keys, settings.ranked_users)
        ranked = users[is_ranked]
        no_list = np.empty((0, settings.top), np.int32)
        lists = np.concatenate([no_list, *_top_lists(model, fold, ranked, settings.top)])
        hits = _hits(fold, ranked, lists)
        row_place = np.repeat(place, settings.negatives + 1)
        loss_sum = np.bincount(row_place, losses, len(users)).astype(np.float64)
        prediction_sum = np.bincount(row_place, probabilities, len(users)).astype(np.float64)
        of_lists = [np.full(len(users), np.nan) for _ in range(2)]
        for per_list, metric in zip(of_lists, (ranking.recall, ranking.ndcg), strict=True):
            per_list[is_ranked] = metric(hits, n_pairs[is_ranked])
        sums = (loss_sum, prediction_sum, loss_sum, *of_lists)
        of_users = dict(zip((*names[:3], *names[4:6]), sums, strict=True))
        per_user = PerUser(users, keys, fold.is_cold(users), n_pairs, of_users)
        n_catalogue = len(catalogue_of(fold.pair.target))
        segments: dict[str, dict[str, float | None]] = {}
        for segment in SEGMENTS:
            chosen = per_user.in_segment(segment)
            if not chosen.any():
                segments[segment] = dict.fromkeys(names)
                continue
            judged = rows.label[chosen[row_place]], probabilities[chosen[row_place]]
            listed = chosen[is_ranked]
            of_segment: list[float | None] = [None, None, None]
            if listed.any():
                means = (float(x[chosen & is_ranked].mean()) for x in of_lists)
                of_segment = [*means, ranking.item_coverage(lists[listed], n_catalogue)]
            values = (
                predictive.normalized_entropy(*judged),
                predictive.calibration_ratio(*judged),
                predictive.log_loss(*judged),
                predictive.auc(*judged),
                *of_segment,
            )
            segments[segment] = dict(zip(names, values, strict=True))
    return Evaluation(
        segments,
        {segment: int(n_pairs[per_user.in_segment(segment)].sum()) for segment in SEGMENTS},
        {segment: int(per_user.in_segment(segment).sum()) for segment in SEGMENTS},
        per_user,
        watch.receipt("evaluate", len(fold.user), len(users)),
    )


def _ranked(keys: Keys, most: int | None) -> Mask:
    """Say for each judged user, shape (n,), whether its list is judged: those with the smallest hashes."""
    if most is None or len(keys) <= most:
        return np.ones(len(keys), np.bool_)
    if most == 0:
        return np.zeros(len(keys), np.bool_)
    chance = rng.keyed_units(0, rng.Purpose.JUDGED_USERS, keys)
    is_ranked: Mask = chance <= np.partition(chance, most - 1)[most - 1]
    return is_ranked


def _top_lists(model: Model, fold: Fold, users: Codes, top: int) -> Iterator[Codes]:
    """Yield the best new items of blocks of users, shape (users of the block, top); -1 for empty places."""
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
    """Say for each place of each user's list, shape (n_users, top), whether it holds a judged item."""
    n_items = len(fold.pair.target.items)
    judged = np.sort(fold.user.astype(np.int64) * n_items + fold.item)
    listed = users.astype(np.int64)[:, None] * n_items + lists
    found: Mask = judged[np.minimum(np.searchsorted(judged, listed), len(judged) - 1)] == listed
    return found & (lists >= 0)


SEGMENTS = ("all", "warm", "cold")
METRICS = ("normalized_entropy", "log_loss", "auc", "calibration_ratio")


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """How good probabilities are on a fold's impressions.

    Attributes:
        segments: By segment and metric; None where a segment has labels of one kind only.
        user: Shape (n_users,), codes of the judged users, ascending.
        loss: By segment, shape (n_users,): log loss in nats, summed over each user's impressions in the segment.
    """

    segments: Mapping[str, Mapping[str, float | None]]
    user: Codes
    loss: Mapping[str, Floats]


def judge(judged: ImpressionFold, probabilities: Floats) -> Judgement:
    """Compute the metrics of predictions for a fold's impressions, for all users, warm and cold ones.

    Normalized entropy divides by the entropy of the segment's own base rate.

    Args:
        judged: The fold.
        probabilities: Shape (n,), P(label = 1) of its impressions.
    """
    losses = predictive.row_losses(judged.label, probabilities)
    users, place = np.unique(judged.user, return_inverse=True)
    segments: dict[str, dict[str, float | None]] = {}
    sums: dict[str, Floats] = {}
    for segment in SEGMENTS:
        chosen = judged.in_segment(segment)
        sums[segment] = np.bincount(place[chosen], losses[chosen], len(users)).astype(np.float64)
        label, stated = judged.label[chosen], probabilities[chosen]
        if len(np.unique(label)) < 2:
            segments[segment] = dict.fromkeys(METRICS)
            continue
        values = (
            predictive.normalized_entropy(label, stated),
            predictive.log_loss(label, stated),
            predictive.auc(label, stated),
            predictive.calibration_ratio(label, stated),
        )
        segments[segment] = dict(zip(METRICS, values, strict=True))
    return Judgement(segments, users.astype(np.int32), sums)


def user_keys(judged: ImpressionFold, users: Codes) -> Keys:
    """Return the keys of users, for a bootstrap that no order of rows decides."""
    return judged.fold.pair.target.users.keys[users]
