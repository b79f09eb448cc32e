"""Choose among candidate items of an event by how near they are to its user."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation import Codes, Int64, Singles, combine, dot, prefetch, unit
from scalr.synthesis.kernels.path_layout import NO_ITEM

LEAST_AFFINITY = np.float32(1e-6)  # of items that a user turns away from: rarely drawn, but never ruled out


@njit(cache=True, nogil=True, error_model="numpy")
def resample(
    event_user: Codes,
    event_key: npt.NDArray[np.uint64],
    stream: Any,
    draws: int,
    power: float,
    top: bool,
    user_factors: Singles,
    item_factors: Singles,
    own_share: Singles,
    target_start: Int64,
    target_item: Codes,
    candidate: Codes,
    share: Singles,
    count: Codes,
    item: Codes,
    confidence: Singles,
    support: Codes,
) -> None:
    """Choose `draws` items per event among as many groups of candidates, or the best ones of all candidates.

    A candidate was drawn in proportion to its count and is chosen in proportion to affinity ** power · count **
    (power - 1), so that with many candidates an item is drawn in proportion to (count · affinity) ** power.

    Args:
        event_user: Shape (n,), users of the events.
        event_key: Shape (n,), stable keys of the events.
        stream: Key of seed and purpose.
        draws: Items per event.
        power: 1 / temperature.
        top: Take the `draws` candidates with the highest count · affinity instead, ties by item code.
        user_factors: Shape (n_users, rank), the own events left out.
        item_factors: Shape (n_target, rank).
        own_share: Shape (n_users,), by how much own items score too high.
        target_start: Shape (n_users + 1,), where each user's target items start.
        target_item: Distinct target items by user, ascending within a user.
        candidate: Shape (n * candidates,), by event; `NO_ITEM` for none.
        share: Same shape, their share of the paths.
        count: Same shape, users behind them.
        item: Shape (n * draws,), filled with the chosen items or `NO_ITEM`.
        confidence: Same shape, filled with share · affinity / mean affinity of all candidates, at most 1.
        support: Same shape, filled with the count.
    """
    n_candidates = candidate.shape[0] // max(event_user.shape[0], 1)
    per_draw = n_candidates // draws
    near, weight = np.empty(n_candidates, np.float32), np.empty(n_candidates)
    owner = np.full(item_factors.shape[0], -1, np.int32)
    for x in range(event_user.shape[0]):
        u, first = event_user[x], x * n_candidates
        for c in range(n_candidates):
            if candidate[first + c] != NO_ITEM:
                prefetch(item_factors[candidate[first + c]], 0)
        if x == 0 or u != event_user[x - 1]:
            for y in range(target_start[u], target_start[u + 1]):
                owner[target_item[y]] = u
        of_user = user_factors[u]
        total, known = 0.0, 0
        for c in range(n_candidates):
            i = candidate[first + c]
            weight[c] = 0.0
            if i == NO_ITEM:
                continue
            score = dot(of_user, item_factors[i])
            if owner[i] == u:
                score -= own_share[u]
            near[c] = max(score, LEAST_AFFINITY)
            total, known = total + near[c], known + 1
            weight[c] = near[c]
            if top:
                weight[c] *= count[first + c]
            elif power == 2.0:  # what people ask for most after 1
                weight[c] *= weight[c] * count[first + c]
            elif power != 1.0:
                weight[c] = weight[c] ** power * np.float64(count[first + c]) ** (power - 1.0)
        mean, key = total / max(known, 1), combine(stream, event_key[x])
        for d in range(draws):
            chosen, out = -1, x * draws + d
            if top:
                for c in range(n_candidates):
                    if weight[c] > 0.0 and (
                        chosen < 0
                        or weight[c] > weight[chosen]
                        or (weight[c] == weight[chosen] and candidate[first + c] < candidate[first + chosen])
                    ):
                        chosen = c
                if chosen >= 0:
                    weight[chosen] = 0.0
            else:
                start, sum_ = d * per_draw, 0.0
                for c in range(start, start + per_draw):
                    sum_ += weight[c]
                left = unit(key, d) * sum_
                for c in range(start, start + per_draw):
                    if weight[c] > 0.0:
                        chosen = c
                        left -= weight[c]
                        if left < 0.0:
                            break
            if chosen < 0:
                item[out] = NO_ITEM
                continue
            item[out], support[out] = candidate[first + chosen], count[first + chosen]
            stated = np.float64(share[first + chosen]) * near[chosen] / mean
            confidence[out] = np.float32(min(stated, 1.0))
