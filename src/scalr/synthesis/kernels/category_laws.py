"""Laws (distributions over target items), one per row: the number of users with each item, by item and by rank.

A row is a category of source items; its group are the users with any of its items. The group of the last row are all
users, so its law is popularity. Only counts above 0 are stored.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from scalr.foundation import Codes, Floats, Int64, Mask, UInt64, lowest_bit
from scalr.synthesis.kernels.path_layout import is_among

U64 = np.uint64


class Laws(NamedTuple):
    """Counts of every row; `levels` are the distinct counts of a row, the highest first."""

    row_of_item: Codes  # shape (n_source,): row of each source item; the last row for items without a category
    row_start: Int64  # shape (n_rows + 1,): start of each row in the next three
    item: Codes  # target items of a row, ascending
    users: Codes  # users of the row's group with each of them, at least 1
    ranked: Codes  # the same items by count, the highest first, ties by item code
    level_start: Int64  # shape (n_rows + 1,): start of each row's levels in the next two
    level_count: Codes  # the count of each level
    level_first: Int64  # shape (n_levels + 1,): start of each level in `ranked`
    popularity: Codes  # shape (n_target,): users with each target item, those of the last row
    width: Int64  # shape (n_rows,): sum of the row's counts
    member_start: Int64  # shape (n_rows + 1,): start of each row's group in the next; or (0,), see there
    member: Codes  # users of the groups, ascending; or (0,) if every user is in the groups of all its items


@njit(cache=True, nogil=True)
def mark_members(
    item: Codes, user: Codes, contributes: Mask, row_of_item: Codes, first: int, last: int, bit: UInt64
) -> None:
    """Set the bit of each user in the rows [first, last) of its source items.

    Args:
        item: Shape (n,), source items of events.
        user: Shape (n,), their users.
        contributes: Shape (n,), whether the event counts; or (0,) if all do.
        row_of_item: Shape (n_source,).
        first: First row.
        last: Its end.
        bit: Shape (last - first, words), one bit per user.
    """
    for x in range(item.shape[0]):
        row = row_of_item[item[x]]
        if first <= row < last and (contributes.shape[0] == 0 or contributes[x]):
            bit[row - first, user[x] >> 6] |= U64(1) << U64(user[x] & 63)


@njit(cache=True, nogil=True)
def count_targets(
    member: UInt64, target_start: Int64, target_item: Codes, tally: Codes, item: Codes, count: Codes
) -> int:
    """Count the target items of some users; return the number of items with a count above 0.

    Args:
        member: Shape (words,), one bit per user.
        target_start: Shape (n_users + 1,), start of each user's target items.
        target_item: Distinct target items by user.
        tally: Shape (n_target,), zeros before and after the call.
        item: Shape (n_target,), filled with the items, ascending.
        count: Shape (n_target,), filled with their counts.
    """
    n = 0
    for word in range(member.shape[0]):
        left = member[word]
        while left:
            user = word * 64 + lowest_bit(left)
            left &= left - U64(1)
            for y in range(target_start[user], target_start[user + 1]):
                i = target_item[y]
                if tally[i] == 0:
                    item[n] = i
                    n += 1
                tally[i] += 1
    if n * 16 < tally.shape[0]:
        item[:n].sort()
    else:
        n = 0
        for i in range(tally.shape[0]):
            if tally[i]:
                item[n] = i
                n += 1
    for k in range(n):
        count[k] = tally[item[k]]
        tally[item[k]] = 0
    return n


@njit(nogil=True)
def weight_of(count: Any, power: Any, least: Any) -> Any:
    """Return count ** power, or 0 below the least count."""
    if count < least or count <= 0:
        return 0.0
    return np.float64(count) if power == 1.0 else np.float64(count) ** power


@njit(cache=True, nogil=True)
def sum_levels(laws: Laws, power: float, least: int) -> Floats:
    """Return, shape (n_levels,), the sums of weights over each row's levels."""
    cumulative = np.empty(laws.level_count.shape[0])
    for row in range(laws.width.shape[0]):
        total = 0.0
        for k in range(laws.level_start[row], laws.level_start[row + 1]):
            total += (laws.level_first[k + 1] - laws.level_first[k]) * weight_of(laws.level_count[k], power, least)
            cumulative[k] = total
    return cumulative


@njit(nogil=True)
def place_of(items: Codes, begin: int, end: int, item: int) -> Any:
    """Return the place of `item` in items[begin:end], which ascend; -1 if it is missing.

    The search has no branch on the items: it would be unpredictable, and these searches dominate the time of back-off.
    """
    at, n = np.int64(begin), end - begin
    if n <= 0:
        return np.int64(-1)
    while n > 1:
        half = n >> 1
        at += half * np.int64(items[at + half] <= item)
        n -= half
    return at if items[at] == item else np.int64(-1)


@njit(nogil=True)
def count_in(laws: Laws, row: int, item: int) -> Any:
    """Return the number of users of the row's group with the item, at least 0."""
    if row == laws.width.shape[0] - 1:
        return laws.popularity[item]
    place = place_of(laws.item, laws.row_start[row], laws.row_start[row + 1], item)
    return laws.users[place] if place >= 0 else np.int32(0)


@njit(nogil=True)
def is_member(laws: Laws, row: int, user: int, contributes: bool) -> bool:
    """Return whether a user is in the row's group.

    Args:
        laws: The laws.
        row: The row of one of the user's source items.
        user: The user.
        contributes: Whether the user's events with that source item count.
    """
    if contributes or row == laws.width.shape[0] - 1:
        return True
    return is_among(laws.member, laws.member_start[row], laws.member_start[row + 1], user)
