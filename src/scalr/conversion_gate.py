"""The gate of a study of impressions: synthetic rows stay off for users whom validation does not show to gain.

As for logs of events (`scalr.gate`): half of the users choose settings, the other half judges, and a segment opens only
if its judging users' log loss is lower than with real impressions alone *and* than with other users' synthetic events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from scalr import rng
from scalr.domain import Floats
from scalr.errors import SchemaError
from scalr.gate import CHOOSING_SHARE, SEGMENTS, Opening, opening
from scalr.impressions import ImpressionFold, Judgement, user_keys


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


def open_segments(judged: Mapping[str, Sequence[Judgement]], halves: Sequence[ImpressionFold]) -> tuple[Opening, ...]:
    """Decide for warm and for cold users.

    Args:
        judged: For "scalr", "real_only" and "shuffled_users" one judgement per seed, of `halves`.
        halves: The judging half of each seed's validation fold.
    """
    return tuple(
        opening(segment, {arm: _losses(seeds, halves, segment) for arm, seeds in judged.items()})
        for segment in SEGMENTS
    )


def _losses(seeds: Sequence[Judgement], halves: Sequence[ImpressionFold], segment: str) -> Floats:
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
