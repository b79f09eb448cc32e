"""Draws from the lists of users that leave out what too few others have together with the source item."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from scalr.foundation import Codes, Int64, Mask, Singles, combine, unit
from scalr.synthesis.kernels.path_layout import COUNTS, FILLING, ITEM, NO_ITEM, U32, Workspace, is_among
from scalr.synthesis.kernels.path_probability import EVERYONE_LAID
from scalr.synthesis.kernels.uniform_paths import hold


@njit(cache=True, nogil=True)
def draw_witnessed(
    workspace: Workspace,
    rows: tuple[int, int],
    draws: int,
    stream: np.uint64,
    event_key: npt.NDArray[np.uint64],
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
    item: Codes,
    confidence: Singles,
    support: Codes,
    power: float,
    least: int,
    top: bool,
    list_of_user: Codes,
    listed: Codes,
    score: Singles,
    total: Singles,
    item_users: Codes,
) -> None:
    """Draw from the list of each event's user, or take its first items, among those with enough others behind.

    Arguments up to `support` are those of `uniform_paths.draw_uniform_paths`; `confidence` is not empty.

    Args:
        workspace: Made for these events and histories, and used by no other kernel.
        rows: First and last + 1 row.
        draws: Draws per event.
        stream: Key of seed and purpose.
        power: 1 / temperature.
        least: Other users who have the source item and the drawn one, at least 1.
        top: Take the first items instead of drawing.
        list_of_user: Shape (n_users,), which list is the user's; -1 for none.
        listed: Shape (lists, length), items, best first; `NO_ITEM` behind the end.
        score: Same shape.
        total: Shape (lists,), summed scores.
        item_users: Shape (n_target,), users of each item, which is what `support` gets: fewer know a pair than an item.
    """
    state, tally, path = workspace.state, workspace.tally, workspace.path
    length = listed.shape[1]
    place, sums = np.empty(length, np.int64), np.empty(length)
    j = np.searchsorted(item_start, rows[0], side="right") - 1
    for x in range(rows[0], rows[1]):
        while item_start[j + 1] <= x:
            j += 1
        if state[ITEM] != j or state[FILLING] != COUNTS:
            hold(
                workspace, item_start[j], item_start[j + 1], EVERYONE_LAID, event_user, event_testifies, event_time,
                target_start, target_item, recent_start, recent_item, recent_time, window, True,
            )  # fmt: skip
            state[ITEM], state[FILLING] = j, COUNTS
        at, own = workspace.own_at[x - item_start[j]], np.int64(workspace.own_n[x - item_start[j]])
        row, key, first = list_of_user[event_user[x]], combine(stream, event_key[x - rows[0]]), (x - rows[0]) * draws
        n, whole = 0, 0.0
        for y in range(length if row >= 0 else 0):
            i = listed[row, y]
            if i == NO_ITEM or (top and n == draws):
                break
            behind = tally[U32(i), 0] - np.int32(is_among(path, at, at + own, i))
            if behind >= least:
                whole += np.float64(score[row, y]) if power == 1.0 else np.float64(score[row, y]) ** power
                place[n], sums[n] = y, whole
                n += 1
        for d in range(draws):
            chosen = d
            if not top:
                wanted, chosen = unit(key, d) * whole, 0
                while chosen < n - 1 and sums[chosen] <= wanted:
                    chosen += 1
            if chosen >= n:
                item[first + d] = NO_ITEM
                continue
            y = place[chosen]
            item[first + d], support[first + d] = listed[row, y], item_users[listed[row, y]]
            confidence[first + d] = np.float32(np.float64(score[row, y]) / total[row])
