"""Probabilities of queried target items from the paths of source items, each user left out of its own result."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from scalr.foundation import Codes, Floats, Int64, Singles, dot
from scalr.synthesis.kernels.candidate_choice import LEAST_AFFINITY, UserAffinity
from scalr.synthesis.kernels.path_layout import (
    COUNTS,
    ITEM,
    N_LAID,
    U32,
    WIDTH,
    Paths,
    Workspace,
    is_among,
    load_item,
    source_item_of,
    take_stamps,
)

EVERYONE_LAID = np.iinfo(np.int64).max  # no user becomes virtual


@njit(cache=True, nogil=True)
def count_queried(workspace: Workspace, paths: Paths, event: Int64, item: Codes, behind: Codes, n_paths: Int64) -> None:
    """Count the paths of other users for each event, and those that lead to a queried item.

    Args:
        workspace: Made for these paths, and used by no other kernel.
        paths: All paths.
        event: Shape (n,), events, ascending.
        item: Shape (n,), queried target items.
        behind: Shape (n,), filled with the paths to the item: other users with both it and the source item.
        n_paths: Shape (n,), filled with the number of all paths.
    """
    state, tally, path = workspace.state, workspace.tally, workspace.path
    j = np.int64(0)
    for z in range(event.shape[0]):
        x, i = event[z], item[z]
        if z == 0 or paths.item_start[j + 1] <= x:
            j = source_item_of(paths, x)
            if state[ITEM] != j:
                load_item(workspace, paths, j, EVERYONE_LAID, COUNTS)
        e = x - paths.item_start[j]
        at, own = workspace.own_at[e], np.int64(workspace.own_n[e])
        behind[z] = tally[U32(i), 0] - np.int32(is_among(path, at, at + own, i))
        n_paths[z] = state[WIDTH] - own


@njit(cache=True, nogil=True)
def fill_affinities(
    users: Codes, affinity: UserAffinity, target_start: Int64, target_item: Codes, filled: Singles
) -> None:
    """Fill an array with the affinity of users to every target item, as `resample` computes it.

    Args:
        users: Shape (n,), codes.
        affinity: Factors of users and items.
        target_start: Shape (n_users + 1,), start of each user's target items.
        target_item: Distinct target items by user.
        filled: Shape (n, n_target), filled with values of at least `LEAST_AFFINITY`.
    """
    for row in range(users.shape[0]):
        u = users[row]
        for i in range(affinity.item_factors.shape[0]):
            filled[row, i] = dot(affinity.user_factors[u], affinity.item_factors[i])
        for y in range(target_start[u], target_start[u + 1]):
            filled[row, target_item[y]] -= affinity.own_share[u]
        for i in range(affinity.item_factors.shape[0]):
            filled[row, i] = max(filled[row, i], LEAST_AFFINITY)


@njit(nogil=True)
def _count_distinct(workspace: Workspace, distinct: Codes, count: Codes) -> Any:
    """Fill the distinct target items of the item that is laid out, with their counts; return their number."""
    state, tally, path = workspace.state, workspace.tally, workspace.path
    stamp, n = take_stamps(state, tally, 1) + np.int32(1), 0
    for r in range(state[N_LAID]):
        i = path[r]
        if tally[U32(i), 1] != stamp:
            tally[U32(i), 1] = stamp
            distinct[n], count[n] = i, tally[U32(i), 0]
            n += 1
    return n


@njit(cache=True, nogil=True)
def add_conditioned(
    workspace: Workspace,
    paths: Paths,
    row_of_user: Codes,
    affinity: Singles,
    query_start: Int64,
    query_item: Codes,
    total: Floats,
    least: int,
) -> None:
    """Add up, over events, the share of each queried item in all paths of others, paths weighted by affinity.

    Args:
        workspace: Made for these paths, and used by no other kernel.
        paths: All paths.
        row_of_user: Shape (n_users,), rows of the queried users; -1 for others.
        affinity: Shape (rows, n_target), above 0.
        query_start: Shape (rows + 1,), start of each row's items.
        query_item: Shape (n,), the items.
        total: Shape (n,), added to; events without paths of others add nothing.
        least: Items with fewer other users behind them add nothing.
    """
    state, tally, path = workspace.state, workspace.tally, workspace.path
    distinct, count = np.empty(tally.shape[0], np.int32), np.empty(tally.shape[0], np.int32)
    for j in range(paths.item_start.shape[0] - 1):
        first, last = paths.item_start[j], paths.item_start[j + 1]
        is_laid, n, x = False, 0, first
        while x < last:
            u, begin = paths.user[x], x
            while x < last and paths.user[x] == u:
                x += 1
            row = row_of_user[u]
            if row < 0:
                continue
            if not is_laid:
                is_laid = True
                load_item(workspace, paths, j, EVERYONE_LAID, COUNTS)
                n = _count_distinct(workspace, distinct, count)
            at, own = workspace.own_at[begin - first], np.int64(workspace.own_n[begin - first])
            if state[WIDTH] == own:
                continue
            weight, whole, own_weight = affinity[row], 0.0, 0.0
            for k in range(n):
                whole += np.float64(count[k]) * weight[distinct[k]]
            for r in range(at, at + own):
                own_weight += weight[path[r]]
            whole -= own_weight
            for z in range(query_start[row], query_start[row + 1]):
                i = query_item[z]
                others = tally[U32(i), 0] - np.int32(is_among(path, at, at + own, i))
                if others < least:
                    continue
                total[z] += (x - begin) * min(others * np.float64(weight[i]) / whole, 1.0)
