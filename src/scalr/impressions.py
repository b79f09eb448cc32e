"""Logs of impressions: folds whose judged rows are real impressions with their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from scalr.config import SplitSettings
from scalr.domain import Codes, EventLog, Floats, Keys, Pair
from scalr.errors import SchemaError
from scalr.metrics import predictive
from scalr.negatives import check_labels
from scalr.split import Fold, periods, split

SEGMENTS = ("all", "warm", "cold")
METRICS = ("normalized_entropy", "log_loss", "auc", "calibration_ratio")
DAY = 86_400 * 1_000_000  # microseconds

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class ImpressionFold:
    """What may be fitted, and the real impressions that judge it.

    Attributes:
        fold: Logs that may be fitted: impressions before the period whose labels are known by then, hidden users'
            left out; source events before it.
        user: Shape (n,), users of the judged impressions, in the order of the log.
        item: Shape (n,), their items.
        label: Shape (n,), whether they were taken.
        is_warm: Shape (n,), whether the user has an earlier conversion that may be fitted.
    """

    fold: Fold
    user: Codes
    item: Codes
    label: npt.NDArray[np.int8]
    is_warm: Mask

    def in_segment(self, segment: str) -> Mask:
        """Say for each judged impression, shape (n,), whether it belongs to "all", "warm" or "cold"."""
        return {"all": np.ones(len(self.user), np.bool_), "warm": self.is_warm, "cold": ~self.is_warm}[segment]


def impression_folds(
    pair: Pair, settings: SplitSettings, seed: int = 0, *, label_delay_days: float = 0.0
) -> tuple[ImpressionFold, ImpressionFold]:
    """Cut a pair whose target is a log of impressions as `split` does; return the validation and the test fold.

    Periods and hidden users are those of `split`. Judged are all impressions of a period: pairs that were shown before
    and items that were never shown too, since both happen when a model serves.

    Args:
        pair: The logs.
        settings: Shares, or the instant.
        seed: Chooses the hidden users.
        label_delay_days: Days until a label is known; impressions younger than that when a period begins are not
            fitted. 0 where the log's labels are as they were known.

    Raises:
        SchemaError: If the log has no labels of both kinds, here or in what may be fitted.
    """
    check_labels(pair.target)
    both = split(pair, settings, seed)
    period, _ = periods(pair, settings)
    return (
        _impressions(both.validation, pair.target.take(period == 1), label_delay_days),
        _impressions(both.test, pair.target.take(period == 2), label_delay_days),
    )


def _impressions(fold: Fold, judged: EventLog, label_delay_days: float) -> ImpressionFold:
    visible = fold.pair.target
    if label_delay_days > 0 and fold.until is not None and visible.time is not None:
        visible = visible.take(visible.time < fold.until - round(label_delay_days * DAY))
        fold = replace(fold, pair=replace(fold.pair, target=visible))
    if visible.label is None or len(np.unique(visible.label)) < 2:
        raise SchemaError(
            f"what may be fitted before the {fold.name} period holds {len(visible):,} impressions of one label only",
            expected="impressions with label 0 and 1",
            fix="choose a later --test-from, a smaller --test-share, --hide-overlap or --label-delay-days",
        )
    assert judged.label is not None
    return ImpressionFold(fold, judged.user, judged.item, judged.label, ~fold.is_cold(judged.user))


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
