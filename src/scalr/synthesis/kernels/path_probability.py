"""What the paths of source items say of target items that are asked for, each user left out of its own answer."""

from __future__ import annotations

import numpy as np
from numba import njit

from scalr.foundation import Codes, Floats, Int64, Mask, Singles, dot
from scalr.synthesis.kernels.candidate_choice import LEAST_AFFINITY
from scalr.synthesis.kernels.path_layout import (
    COUNTS,
    FILLING,
    ITEM,
    N_LAID,
    U32,
    WIDTH,
    Workspace,
    is_among,
    take_stamps,
)
from scalr.synthesis.kernels.uniform_paths import hold

EVERYONE_LAID = np.iinfo(np.int64).max  # no history is too long to be laid out


@njit(cache=True, nogil=True)
def count_asked(
    workspace: Workspace,
    event: Int64,
    item: Codes,
    event_user: Codes,
    event_testifies: Mask,
    event_time: Int64,
    item_start: Int64,
    target_start: Int64,
    target_item: Codes,
    recent_start: Int64,
    recent_item: Codes,
    recent_time: Int64,
    window: int,
    behind: Codes,
    paths: Int64,
) -> None:
    """Count the paths of other users behind each event, and those of them that lead to an item asked for.

    Other arguments are those of `scalr.synthesis.kernels.uniform_paths.draw_uniform_paths`.

    Args:
        workspace: Made for these events and histories, and used by no other kernel.
        event: Shape (n,), events, ascending.
        item: Shape (n,), target items asked for.
        behind: Shape (n,), filled with the paths to the item: other users who have it and the source item.
        paths: Shape (n,), filled with all paths.
    """
    state, tally, path = workspace.state, workspace.tally, workspace.path
    j = np.int64(0)
    for z in range(event.shape[0]):
        x, i = event[z], item[z]
        if z == 0 or item_start[j + 1] <= x:
            j = np.searchsorted(item_start, x, side="right") - 1
            if state[ITEM] != j:
                hold(
                    workspace, item_start[j], item_start[j + 1], EVERYONE_LAID, event_user, event_testifies,
                    event_time, target_start, target_item, recent_start, recent_item, recent_time, window, True,
                )  # fmt: skip
                state[ITEM], state[FILLING] = j, COUNTS
        at, own = workspace.own_at[x - item_start[j]], np.int64(workspace.own_n[x - item_start[j]])
        behind[z] = tally[U32(i), 0] - np.int32(is_among(path, at, at + own, i))
        paths[z] = state[WIDTH] - own


@njit(cache=True, nogil=True)
def fill_affinities(
    users: Codes,
    user_factors: Singles,
    item_factors: Singles,
    own_share: Singles,
    target_start: Int64,
    target_item: Codes,
    affinity: Singles,
) -> None:
    """Fill `affinity`, shape (n, n_target), with how near users are to every target item, as `resample` has it.

    Args:
        users: Shape (n,), codes.
        user_factors: Shape (n_users, rank), the own events left out.
        item_factors: Shape (n_target, rank).
        own_share: Shape (n_users,), by how much own items score too high.
        target_start: Shape (n_users + 1,), where each user's target items start.
        target_item: Distinct target items by user.
        affinity: Filled, at least `LEAST_AFFINITY`.
    """
    for row in range(users.shape[0]):
        u = users[row]
        for i in range(item_factors.shape[0]):
            affinity[row, i] = dot(user_factors[u], item_factors[i])
        for y in range(target_start[u], target_start[u + 1]):
            affinity[row, target_item[y]] -= own_share[u]
        for i in range(item_factors.shape[0]):
            affinity[row, i] = max(affinity[row, i], LEAST_AFFINITY)


@njit(cache=True, nogil=True)
def add_conditioned(
    workspace: Workspace,
    row_of_user: Codes,
    affinity: Singles,
    asked_start: Int64,
    asked_item: Codes,
    event_user: Codes,
    event_testifies: Mask,
    event_time: Int64,
    item_start: Int64,
    target_start: Int64,
    target_item: Codes,
    recent_start: Int64,
    recent_item: Codes,
    recent_time: Int64,
    window: int,
    total: Floats,
    least: int,
) -> None:
    """Add, over events, the share of an item asked for in all paths of others, each path weighed by affinity.

    Other arguments are those of `scalr.synthesis.kernels.uniform_paths.draw_uniform_paths`.

    Args:
        workspace: Made for these events and histories, and used by no other kernel.
        row_of_user: Shape (n_users,), rows of the users asked; -1 for others.
        affinity: Shape (rows, n_target), above 0.
        asked_start: Shape (rows + 1,), where each row's items start.
        asked_item: Shape (n,), the items.
        total: Shape (n,), added to; events without paths of others add nothing.
        least: Items with fewer other users behind them add nothing.
    """
    state, tally, path = workspace.state, workspace.tally, workspace.path
    distinct, count = np.empty(tally.shape[0], np.int32), np.empty(tally.shape[0], np.int32)
    for j in range(item_start.shape[0] - 1):
        first, last = item_start[j], item_start[j + 1]
        is_laid, n, x = False, 0, first
        while x < last:
            u, begin = event_user[x], x
            while x < last and event_user[x] == u:
                x += 1
            row = row_of_user[u]
            if row < 0:
                continue
            if not is_laid:
                is_laid = True
                hold(
                    workspace, first, last, EVERYONE_LAID, event_user, event_testifies, event_time,
                    target_start, target_item, recent_start, recent_item, recent_time, window, True,
                )  # fmt: skip
                state[ITEM], state[FILLING] = j, COUNTS
                stamp = take_stamps(state, tally, 1) + np.int32(1)
                for r in range(state[N_LAID]):
                    i = path[r]
                    if tally[U32(i), 1] != stamp:
                        tally[U32(i), 1] = stamp
                        distinct[n], count[n] = i, tally[U32(i), 0]
                        n += 1
            at, own = workspace.own_at[begin - first], np.int64(workspace.own_n[begin - first])
            if state[WIDTH] == own:
                continue
            near, whole, mine = affinity[row], 0.0, 0.0
            for k in range(n):
                whole += np.float64(count[k]) * near[distinct[k]]
            for r in range(at, at + own):
                mine += near[path[r]]
            whole -= mine
            for z in range(asked_start[row], asked_start[row + 1]):
                i = asked_item[z]
                others = tally[U32(i), 0] - np.int32(is_among(path, at, at + own, i))
                if others < least:
                    continue
                total[z] += (x - begin) * min(others * np.float64(near[i]) / whole, 1.0)
