"""Choose among the candidate items of an event by their affinity to its user."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from scalr.foundation import Codes, Floats, Int64, Singles, combine, dot, prefetch, unit
from scalr.synthesis.kernels.path_layout import NO_ITEM, Draws, Sampling

LEAST_AFFINITY = np.float32(1e-6)  # of items with scores of 0 or less: rarely drawn, but never ruled out


class UserAffinity(NamedTuple):
    """Scores of target items for users: user_factors[u] · item_factors[i], minus own_share[u] where u has i.

    Attributes:
        user_factors: Shape (n_users, rank), zero for users without source events; the user's own events are left out.
        item_factors: Shape (n_target, rank), zero for items that no overlap user has.
        own_share: Shape (n_users,), the excess of a user's scores for its own items, at least 0.
        rank: Number of dimensions; the arrays are padded with zeros to a multiple of `LANES`.
    """

    user_factors: Singles
    item_factors: Singles
    own_share: Singles
    rank: int


@njit(nogil=True, error_model="numpy")
def _weigh(
    affinity: UserAffinity,
    u: int,
    owner: Codes,
    candidates: Draws,
    first: int,
    near: Singles,
    weight: Floats,
    sampling: Sampling,
) -> Any:
    """Fill affinities and weights of the candidates from `first` on; return their mean affinity."""
    of_user, power = affinity.user_factors[u], sampling.power
    total, n = 0.0, 0
    for c in range(weight.shape[0]):
        i = candidates.item[first + c]
        weight[c] = 0.0
        if i == NO_ITEM:
            continue
        score = dot(of_user, affinity.item_factors[i])
        if owner[i] == u:
            score -= affinity.own_share[u]
        near[c] = max(score, LEAST_AFFINITY)
        total, n = total + near[c], n + 1
        weight[c] = near[c]
        if sampling.is_top:
            weight[c] *= candidates.support[first + c]
        elif power == 2.0:  # the most frequent setting after 1
            weight[c] *= weight[c] * candidates.support[first + c]
        elif power != 1.0:
            weight[c] = weight[c] ** power * np.float64(candidates.support[first + c]) ** (power - 1.0)
    return total / max(n, 1)


@njit(nogil=True)
def _best(weight: Floats, item: Codes, first: int) -> Any:
    """Return the candidate with the largest weight, ties by item code; -1 if all weights are 0."""
    best = -1
    for c in range(weight.shape[0]):
        if weight[c] > 0.0 and (
            best < 0 or weight[c] > weight[best] or (weight[c] == weight[best] and item[first + c] < item[first + best])
        ):
            best = c
    return best


@njit(nogil=True)
def _choose(weight: Floats, start: int, end: int, number: Any) -> Any:
    """Return a candidate of [start, end) in proportion to its weight, by a random number; -1 if all are 0."""
    total, choice = 0.0, -1
    for c in range(start, end):
        total += weight[c]
    left = number * total
    for c in range(start, end):
        if weight[c] > 0.0:
            choice = c
            left -= weight[c]
            if left < 0.0:
                break
    return choice


@njit(cache=True, nogil=True, error_model="numpy")
def resample(
    event_user: Codes,
    affinity: UserAffinity,
    target_start: Int64,
    target_item: Codes,
    candidates: Draws,
    sampling: Sampling,
    stream: Any,
    drawn: Draws,
) -> None:
    """Choose one item per draw, each from its own group of candidates, or the best of all candidates.

    A candidate was drawn in proportion to its count and is chosen in proportion to affinity ** power · count **
    (power - 1), so that with many candidates an item is drawn in proportion to (count · affinity) ** power.

    Args:
        event_user: Shape (n,), users of the events.
        affinity: Factors of users and items.
        target_start: Shape (n_users + 1,), start of each user's target items.
        target_item: Distinct target items by user, ascending within a user.
        candidates: Candidates of the events, the same number for each.
        sampling: Draws and power. With `is_top` the candidates with the highest count · affinity are taken, ties by
            item code. The minimum support has no effect.
        stream: Key of seed and purpose.
        drawn: Filled; confidence is that of the candidate · affinity / mean affinity of all candidates, at most 1.
    """
    n_candidates, draws = candidates.item.shape[0] // max(event_user.shape[0], 1), sampling.draws
    per_draw = n_candidates // draws
    near, weight = np.empty(n_candidates, np.float32), np.empty(n_candidates)
    owner = np.full(affinity.item_factors.shape[0], -1, np.int32)
    for x in range(event_user.shape[0]):
        u, first = event_user[x], x * n_candidates
        for c in range(n_candidates):
            if candidates.item[first + c] != NO_ITEM:
                prefetch(affinity.item_factors[candidates.item[first + c]], 0)
        if x == 0 or u != event_user[x - 1]:
            for y in range(target_start[u], target_start[u + 1]):
                owner[target_item[y]] = u
        mean = _weigh(affinity, u, owner, candidates, first, near, weight, sampling)
        key = combine(stream, drawn.key[x])
        for d in range(draws):
            out = x * draws + d
            if sampling.is_top:
                choice = _best(weight, candidates.item, first)
                if choice >= 0:
                    weight[choice] = 0.0
            else:
                choice = _choose(weight, d * per_draw, (d + 1) * per_draw, unit(key, d))
            if choice < 0:
                drawn.item[out] = NO_ITEM
                continue
            z = first + choice
            drawn.item[out], drawn.support[out] = candidates.item[z], candidates.support[z]
            confidence = np.float64(candidates.confidence[z]) * near[choice] / mean
            drawn.confidence[out] = np.float32(min(confidence, 1.0))
