"""The gate: augmentation stays off for a segment of users unless validation shows that it helps.

The users who choose settings do not judge them: half of the users choose, the other half judges (`half_of`). A segment
opens only if the log loss of its judging users is lower than with real events alone *and* lower than with the same
synthetic events given to other users, each by a one-sided t-test over users at `LEVEL`. If synthetic events carry
nothing about the user, the second comparison is between equals, so a segment opens with a probability of at most
`LEVEL`. Studies of events rehearse the test period on two earlier periods and open a segment only if both agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from scalr.evaluation import WARM_AND_COLD, Fold, ImpressionFold, Model, student_t_cdf
from scalr.foundation import Codes, Floats, Keys, Mask, SchemaError, rng

LEVEL = 0.05
CHOOSING_SHARE = 0.5
COMPARED_ARMS: tuple[Literal["real_only", "scalr", "shuffled_users"], ...] = ("real_only", "scalr", "shuffled_users")
"""Arms that the gate compares; shuffled users have the settings of `scalr`, so that only the users differ."""

AnyFold = TypeVar("AnyFold", Fold, ImpressionFold)


class UserLosses(Protocol):
    """An arm judged with one seed, user by user."""

    def user_sums(self, segment: str, metric: str) -> tuple[Floats, Keys] | None:
        """Return a metric summed per user of a segment and the users' keys, shape (n,) each; None if unknown."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Whether augmentation is on for a segment, and why.

    Attributes:
        segment: "warm" or "cold".
        is_open: Whether augmentation is on.
        users: Number of judging users in the segment.
        change: Relative change of the log loss against real events alone, over these users.
        p_real: One-sided p-value of "not better than real events alone".
        p_shuffled: One-sided p-value of "not better than other users' synthetic events".
        rehearsal: Name of the rehearsal behind these numbers; "" without rehearsals.
    """

    segment: str
    is_open: bool
    users: int
    change: float
    p_real: float
    p_shuffled: float
    rehearsal: str = ""

    @property
    def doubt(self) -> float:
        """Return the larger p-value; 1 if one of them is unknown."""
        return 1.0 if math.isnan(self.p_real + self.p_shuffled) else max(self.p_real, self.p_shuffled)

    def to_json(self) -> dict[str, Any]:
        """Return the opening for `study.json`; null for unknown numbers."""
        values = {"change": self.change, "p_real_only": self.p_real, "p_shuffled_users": self.p_shuffled}
        numbers = {name: None if math.isnan(value) else value for name, value in values.items()}
        rehearsal = {"rehearsal": self.rehearsal} if self.rehearsal else {}
        fields = {"segment": self.segment, "open": self.is_open, "users": self.users}
        return {**fields, **numbers, "level": LEVEL, **rehearsal}


def half_of(fold: AnyFold, *, judge: bool = False) -> AnyFold:
    """Return the fold with the judged rows of one half of the users.

    Args:
        fold: A fold of events or of impressions.
        judge: Return the half that judges instead of the half that chooses settings.

    Raises:
        SchemaError: If impressions of the half that chooses have one label only.
    """
    logs = fold.fold if isinstance(fold, ImpressionFold) else fold
    chance = rng.keyed_units(0, rng.Purpose.GATE, logs.pair.target.users.keys[fold.user])
    selected = (chance < CHOOSING_SHARE) != judge
    half = replace(fold, user=fold.user[selected], item=fold.item[selected])
    if isinstance(half, ImpressionFold):
        warm, naturally_cold = half.is_warm[selected], half.is_naturally_cold[selected]
        half = replace(half, label=half.label[selected], is_warm=warm, is_naturally_cold=naturally_cold)
        if not judge and len(np.unique(half.label)) < 2:
            raise SchemaError(
                f"the half of users that choose settings has {len(half.label):,} impressions of one label only",
                expected="impressions with label 0 and 1 in the validation period",
                fix="choose a longer validation period, or switch the gate off (--no-gate)",
            )
    return half


def open_segments(judged: Mapping[str, Sequence[UserLosses]]) -> tuple[Opening, ...]:
    """Decide for each segment.

    Args:
        judged: For each of `COMPARED_ARMS`, one judgement per seed, on the judging half of the users.
    """
    return tuple(
        opening(segment, {arm: _losses(seeds, segment) for arm, seeds in judged.items()}) for segment in WARM_AND_COLD
    )


def agreed(rehearsed: Mapping[str, Sequence[Opening]]) -> tuple[Opening, ...]:
    """Return for each segment the least convincing opening, so that a segment is open if it is in every rehearsal.

    Args:
        rehearsed: By name of the rehearsal, one opening per segment.
    """
    named = [replace(one, rehearsal=name) for name, openings in rehearsed.items() for one in openings]
    return tuple(
        max((one for one in named if one.segment == segment), key=lambda one: one.doubt) for segment in WARM_AND_COLD
    )


def never_open() -> tuple[Opening, ...]:
    """Return the gate of a log in which nothing can be rehearsed."""
    return tuple(Opening(segment, False, 0, math.nan, math.nan, math.nan) for segment in WARM_AND_COLD)


def opening(segment: str, losses: Mapping[str, Floats]) -> Opening:
    """Decide for one segment.

    Args:
        segment: Name of the segment.
        losses: For each of `COMPARED_ARMS`, shape (n_users,): each judging user's log loss, the same users in the same
            order.
    """
    ours, real, shuffled = (losses[arm] for arm in ("scalr", "real_only", "shuffled_users"))
    total = float(real.sum())
    p_real, p_shuffled = _p_lower(ours - real), _p_lower(ours - shuffled)
    return Opening(
        segment=segment,
        is_open=p_real < LEVEL and p_shuffled < LEVEL,
        users=len(ours),
        change=float(ours.sum()) / total - 1.0 if total > 0 else math.nan,
        p_real=p_real,
        p_shuffled=p_shuffled,
    )


def _losses(seeds: Sequence[UserLosses], segment: str) -> Floats:
    """Return each user's summed log loss, shape (n_users,), by ascending key.

    It is the mean over the seeds that have the user in the segment, since hidden users differ between seeds.
    """
    sums = [found for judged in seeds if (found := judged.user_sums(segment, "log_loss")) is not None]
    if not sums:
        return np.empty(0)
    losses, keys = (np.concatenate(arrays) for arrays in zip(*sums, strict=True))
    _, place = np.unique(keys, return_inverse=True)
    mean: Floats = np.bincount(place, losses) / np.maximum(np.bincount(place), 1)
    return mean


def _p_lower(difference: Floats) -> float:
    """Return the one-sided p-value of a mean that is not below 0, by a t-test; NaN with fewer than two numbers."""
    n = len(difference)
    if n < 2:
        return math.nan
    error = float(difference.std(ddof=1)) / math.sqrt(n)
    if error == 0.0:
        return 1.0
    return student_t_cdf(float(difference.mean()) / error, n - 1)


def is_augmented(is_cold: Mask, openings: Sequence[Opening]) -> Mask:
    """Return for users or rows, by whether they are cold, whether their segment is open, shape (n,)."""
    is_open = {opening.segment: opening.is_open for opening in openings}
    mask: Mask = np.where(is_cold, is_open["cold"], is_open["warm"])
    return mask


def gated(model: Model, real_only: Model, fold: Fold, openings: Sequence[Opening]) -> Model:
    """Return the model that serves open segments with `model` and closed ones with `real_only`."""
    states = {opening.is_open for opening in openings}
    if states == {True}:
        return model
    if states == {False}:
        return real_only
    is_cold = fold.is_cold(np.arange(len(fold.pair.target.users), dtype=np.int32))
    return RoutedModel(model, real_only, is_augmented(is_cold, openings))


@dataclass(frozen=True, slots=True, eq=False)
class RoutedModel:
    """One model for some users, another one for the rest.

    Attributes:
        routed: For the users in `is_routed`.
        rest: For all others.
        is_routed: Shape (n_users,).
    """

    routed: Model
    rest: Model
    is_routed: Mask

    @property
    def fitted_until(self) -> int | None:
        """Return the latest time of any event that one of the models saw."""
        times = [model.fitted_until for model in (self.routed, self.rest) if model.fitted_until is not None]
        return max(times, default=None)

    @property
    def fitted_on(self) -> int | None:
        """Return the digest of the target log; both were trained on the same."""
        return self.rest.fitted_on

    def score(self, user: Codes, item: Codes) -> Floats:
        """Return P(label = 1) for each (user, item), shape (n,)."""
        out = np.empty(len(user))
        for model, selected in ((self.routed, self.is_routed[user]), (self.rest, ~self.is_routed[user])):
            out[selected] = model.score(user[selected], item[selected])
        return out

    def rank_scores(self, users: Codes) -> npt.NDArray[np.float32]:
        """Return scores to rank by, shape (n_users, all items)."""
        selected = self.is_routed[users]
        first, second = self.routed.rank_scores(users[selected]), self.rest.rank_scores(users[~selected])
        out = np.empty((len(users), max(first.shape[1], second.shape[1])), np.float32)
        out[selected], out[~selected] = first, second
        return out
