"""The gate: augmentation stays off for a segment of users where validation does not show that it helps.

Whoever chose the settings must not judge them: half of the users choose (`choosing`), the other half judges. What a
study does for the test period is rehearsed on earlier periods (`split.rehearsal`): passes are chosen on one period,
models trained anew up to the next one and judged there. A segment opens only if in every rehearsal its judging users'
log loss is lower than with real events alone *and* lower than with the same synthetic events given to other users, each
by a one-sided t-test over users at `LEVEL`. Where synthetic events carry nothing about the user, the second comparison
is between equals, so a segment opens with a probability of at most `LEVEL`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from scalr.evaluation import Evaluation, Fold, ImpressionFold, Judgement, Model, student_t_cdf, user_keys
from scalr.foundation import Codes, Floats, Mask, SchemaError, rng

LEVEL = 0.05
SEGMENTS = ("warm", "cold")
CHOOSING_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Opening:
    """Whether augmentation is on for a segment, and why.

    Attributes:
        segment: "warm" or "cold".
        is_open: Whether it is.
        users: Judging users of the segment.
        change: Relative change of the log loss against real events alone, over these users.
        p_real: One-sided p-value of "not better than real events alone".
        p_shuffled: One-sided p-value of "not better than other users' synthetic events".
        rehearsal: Name of the rehearsal that these numbers are of; "" where there are no rehearsals.
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
        """Return the larger p-value; 1 where one of them is not known."""
        return 1.0 if math.isnan(self.p_real + self.p_shuffled) else max(self.p_real, self.p_shuffled)

    def to_json(self) -> dict[str, Any]:
        """Return the opening for `study.json`; null for what nobody knows."""
        known = {"change": self.change, "p_real_only": self.p_real, "p_shuffled_users": self.p_shuffled}
        numbers = {name: None if math.isnan(value) else value for name, value in known.items()}
        of = {"rehearsal": self.rehearsal} if self.rehearsal else {}
        return {"segment": self.segment, "open": self.is_open, "users": self.users, **numbers, "level": LEVEL, **of}


def choosing(fold: Fold, *, judge: bool = False) -> Fold:
    """Return the fold with the judged pairs of the half of users that choose settings, or of the half that judges."""
    chance = rng.keyed_units(0, rng.Purpose.GATE, fold.pair.target.users.keys[fold.user])
    mine = (chance < CHOOSING_SHARE) != judge
    return replace(fold, user=fold.user[mine], item=fold.item[mine])


def open_segments(judged: Mapping[str, Sequence[Evaluation]]) -> tuple[Opening, ...]:
    """Decide for each segment.

    Args:
        judged: For "scalr", "real_only" and "shuffled_users" one evaluation per seed, on the judging users of the
            validation folds.
    """
    return tuple(
        opening(segment, {arm: _losses(evaluations, segment) for arm, evaluations in judged.items()})
        for segment in SEGMENTS
    )


def agreed(rehearsed: Mapping[str, Sequence[Opening]]) -> tuple[Opening, ...]:
    """Return for each segment the opening of the rehearsal that shows a gain least; so it is open where all are.

    Args:
        rehearsed: By name of the rehearsal, one opening per segment.
    """
    named = [replace(one, rehearsal=name) for name, openings in rehearsed.items() for one in openings]
    return tuple(
        max((one for one in named if one.segment == segment), key=lambda one: one.doubt) for segment in SEGMENTS
    )


def never_open() -> tuple[Opening, ...]:
    """Return the gate of a log in which nothing can be rehearsed."""
    return tuple(Opening(segment, False, 0, math.nan, math.nan, math.nan) for segment in SEGMENTS)


def opening(segment: str, losses: Mapping[str, Floats]) -> Opening:
    """Decide for one segment.

    Args:
        segment: Its name.
        losses: For "scalr", "real_only" and "shuffled_users", shape (n_users,): each judging user's log loss, the same
            users in the same order.
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


def _losses(evaluations: Sequence[Evaluation], segment: str) -> Floats:
    """Return each user's summed log loss, averaged over the seeds that put it into the segment, by key."""
    sums: dict[int, list[float]] = {}
    for evaluation in evaluations:
        found = evaluation.user_sums(segment, "log_loss")
        if found is not None:
            for key, loss in zip(found[1].tolist(), found[0].tolist(), strict=True):
                sums.setdefault(key, []).append(loss)
    return np.array([np.mean(sums[key]) for key in sorted(sums)], np.float64)


def _p_lower(difference: Floats) -> float:
    """Return the one-sided p-value of a mean that is not below 0, by a t-test; NaN with fewer than two numbers."""
    n = len(difference)
    if n < 2:
        return math.nan
    error = float(difference.std(ddof=1)) / math.sqrt(n)
    if error == 0.0:
        return 1.0
    return student_t_cdf(float(difference.mean()) / error, n - 1)


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
        """Return the latest time of any event that one of them saw."""
        known = [one.fitted_until for one in (self.routed, self.rest) if one.fitted_until is not None]
        return max(known, default=None)

    @property
    def fitted_on(self) -> int | None:
        """Return the digest of the target log; both were trained on the same."""
        return self.rest.fitted_on

    def score(self, user: Codes, item: Codes) -> Floats:
        """Return P(label = 1) for each (user, item), shape (n,)."""
        out = np.empty(len(user))
        for model, mine in ((self.routed, self.is_routed[user]), (self.rest, ~self.is_routed[user])):
            out[mine] = model.score(user[mine], item[mine])
        return out

    def rank_scores(self, users: Codes) -> npt.NDArray[np.float32]:
        """Return scores to rank by, shape (n_users, all items)."""
        mine = self.is_routed[users]
        first, second = self.routed.rank_scores(users[mine]), self.rest.rank_scores(users[~mine])
        out = np.empty((len(users), max(first.shape[1], second.shape[1])), np.float32)
        out[mine], out[~mine] = first, second
        return out


def gated(model: Model, real_only: Model, fold: Fold, openings: Sequence[Opening]) -> Model:
    """Return the model that serves open segments with `model` and closed ones with `real_only`."""
    is_open = {opening.segment: opening.is_open for opening in openings}
    if all(is_open.values()):
        return model
    if not any(is_open.values()):
        return real_only
    is_cold = fold.is_cold(np.arange(len(fold.pair.target.users), dtype=np.int32))
    return RoutedModel(model, real_only, np.where(is_cold, is_open["cold"], is_open["warm"]))


def half_of(judged: ImpressionFold, *, judge: bool = False) -> ImpressionFold:
    """Return the fold with the impressions of the half of users that choose settings, or of the half that judges.

    Raises:
        SchemaError: If the half that chooses has labels of one kind only.
    """
    chance = rng.keyed_units(0, rng.Purpose.GATE, user_keys(judged, judged.user))
    mine = (chance < CHOOSING_SHARE) != judge
    half = replace(
        judged,
        user=judged.user[mine],
        item=judged.item[mine],
        label=judged.label[mine],
        is_warm=judged.is_warm[mine],
    )
    if not judge and len(np.unique(half.label)) < 2:
        raise SchemaError(
            f"the half of users that choose settings has {len(half.label):,} impressions of one label only",
            expected="impressions with label 0 and 1 in the validation period",
            fix="choose a longer validation period, or leave the gate out (--no-gate)",
        )
    return half


def open_impression_segments(
    judged: Mapping[str, Sequence[Judgement]], halves: Sequence[ImpressionFold]
) -> tuple[Opening, ...]:
    """Decide for warm and for cold users.

    Args:
        judged: For "scalr", "real_only" and "shuffled_users" one judgement per seed, of `halves`.
        halves: The judging half of each seed's validation fold.
    """
    return tuple(
        opening(segment, {arm: _impression_losses(seeds, halves, segment) for arm, seeds in judged.items()})
        for segment in SEGMENTS
    )


def _impression_losses(seeds: Sequence[Judgement], halves: Sequence[ImpressionFold], segment: str) -> Floats:
    """Return each user's summed log loss, averaged over the seeds that put it into the segment, by key."""
    found = []
    for judgement, half in zip(seeds, halves, strict=True):
        is_mine = np.isin(judgement.user, half.user[half.in_segment(segment)])
        found.append((user_keys(half, judgement.user[is_mine]), judgement.loss[segment][is_mine]))
    keys, losses = (np.concatenate([one[place] for one in found]) for place in (0, 1))
    _, place = np.unique(keys, return_inverse=True)
    times = np.bincount(place)
    mean: Floats = np.bincount(place, losses) / np.maximum(times, 1)
    return mean


def routed(judged: ImpressionFold, ours: Floats, real: Floats, openings: Sequence[Opening]) -> Floats:
    """Return probabilities of the fold's impressions: `ours` for open segments, `real` for closed ones, shape (n,)."""
    served = real.copy()
    for one in openings:
        if one.is_open:
            mine = judged.in_segment(one.segment)
            served[mine] = ours[mine]
    return served
