"""Sorting of events by (group, member, ...): a scatter by group, then a sort of 64-bit numbers within each group."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from scalr.foundation.arrays import Codes, Int64, Mask, UInt32, UInt64
from scalr.foundation.kernels.hashing import U64

_LOW = U64(0xFFFFFFFF)


@njit(cache=True, nogil=True)
def group_starts(place: Codes, code_of: Codes, n_groups: int) -> Int64:
    """Return the offset of each group, shape (n_groups + 1,), once events are sorted by group.

    Args:
        place: Shape (n,), position of each event's group in `code_of`.
        code_of: Codes of groups, from 0 to n_groups - 1.
        n_groups: Number of groups.
    """
    start = np.zeros(n_groups + 1, np.int64)
    for x in range(place.shape[0]):
        start[code_of[place[x]] + 1] += 1
    for g in range(n_groups):
        start[g + 1] += start[g]
    return start


@njit(cache=True, nogil=True)
def scatter(
    group: Codes, group_of: Codes, member: Codes, member_of: Codes, low: UInt32, start: Int64, out: UInt64
) -> None:
    """Fill `out` with member << 32 | low by group; events of a group keep their order.

    Args:
        group: Shape (n,), position of each event's group in `group_of`.
        group_of: Codes of groups.
        member: Shape (n,), position of each event's member in `member_of`.
        member_of: Codes of members.
        low: Shape (n,), sort key of events with equal group and member; (0,) for the row number.
        start: Shape (n_groups + 1,), offset of each group.
        out: Shape (n,), filled.
    """
    at = start[:-1].copy()
    numbered = low.shape[0] == 0
    for x in range(group.shape[0]):
        g = group_of[group[x]]
        below = U64(x) if numbered else U64(low[x])
        out[at[g]] = (U64(member_of[member[x]]) << U64(32)) | below
        at[g] += 1


@njit(cache=True, nogil=True)
def sort_groups(values: UInt64, start: Int64, first: int, last: int) -> None:
    """Sort `values`, shape (n,), within each of the groups [first, last)."""
    for g in range(first, last):
        if start[g + 1] - start[g] > 1:
            values[start[g] : start[g + 1]].sort()


@njit(cache=True, nogil=True)
def split_halves(values: UInt64, member: Codes, low: UInt32) -> None:
    """Fill `member` and `low`, shape (n,) each, with the upper and lower halves of `values`."""
    for x in range(values.shape[0]):
        member[x] = np.int32(values[x] >> U64(32))
        low[x] = np.uint32(values[x] & _LOW)


@njit(cache=True, nogil=True)
def mark_ties(member: Codes, start: Int64) -> Mask:
    """Return for each event, shape (n,), whether an adjacent event has the same group and member."""
    tied = np.zeros(member.shape[0], np.bool_)
    for g in range(start.shape[0] - 1):
        for x in range(start[g] + 1, start[g + 1]):
            if member[x] == member[x - 1]:
                tied[x - 1] = tied[x] = True
    return tied


@njit(cache=True, nogil=True)
def group_numbers(start: Int64, first: int) -> Codes:
    """Return the group of each event, shape (start[-1] - start[0],); the first group has number `first`."""
    out = np.empty(start[-1] - start[0], np.int32)
    for g in range(start.shape[0] - 1):
        out[start[g] - start[0] : start[g + 1] - start[0]] = first + g
    return out


def split_evenly(start: Any, n_parts: int) -> Int64:
    """Return bounds, shape (n_parts + 1,), that cut groups into ranges with about the same number of events."""
    n_groups = len(start) - 1
    wanted = np.arange(1, n_parts) * int(start[-1]) // n_parts
    inner = np.searchsorted(start[:-1], wanted)
    return np.concatenate([[0], inner, [n_groups]]).astype(np.int64)
