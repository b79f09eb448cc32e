"""Recognise a time column that orders the events of each user, but not the events of different users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from scalr.foundation import Codes, Floats, Int64, Times
from scalr.logs.event_log import EventLog, Pair

OwnOrder = Literal["shared", "per_log"]

REPEATS = 0.1
"""Largest ratio of the repeated values within users to those that chance would give."""
ENOUGH_REPEATS = 10.0
"""Repeats that chance must give before their absence is evidence."""
COMMON_VALUES = 0.5
"""Smallest share of a user's values that other users have too, mean over users."""
COMMON_START = 0.1
"""Largest distance of a user's first value from the smallest value, as a share of the range of all values."""
MOST_USERS = 0.8
"""Smallest share of users who start within that distance."""
DENSITY = 0.2
"""Smallest number of a user's events per place up to the last one, median over users."""
FULL_DENSITY = 0.9
"""The same for a counter of a single log, which has no gaps."""
SAME_START = 0.95
"""Smallest share of users whose first value is exactly the smallest value, for values with gaps."""
ENOUGH_USERS = 20
"""Users that must start at the same value before this is evidence."""
MOST_EVENTS = 300_000
"""Events to look at: those of the first users in the order of their hashes, but always of `ENOUGH_USERS` users."""


def recognise_order(pair: Pair) -> OwnOrder | None:
    """Return whether the times are an order of each user's own, such as 0, 1, 2, … in the history of every user.

    Only a plain order can be one: dates, timestamps and integers from 10**8 on (seconds since 1970) never are. Users
    with at least two events count. The values must repeat across users and hardly within a user:

    - Within users, repeated values are at most a tenth of the repeats that as many events, spread evenly over the
      user's range, would have by chance, where chance gives at least ten.
    - On average over users, at least half of a user's values occur for other users too. In a counter over all events
      no value does.
    - Four of five users start near the smallest value (within a tenth of the range of all values). In a log of days
      users start on any day.
    - In the median user, at least a fifth of the places up to the last one are occupied.

    Alternatively, 95 % of at least 20 users start at exactly the smallest value, and repeated values within users are
    at most a tenth of the events: such values are, for instance, seconds since the user's first event.

    A log of whole days with one row per user and day, where nearly all users begin on the first days, looks the same
    and is taken for an own order. Declare the split of such logs (`SplitSettings.by`).

    Args:
        pair: The logs. The events of a user in all logs count as one sequence.

    Returns:
        "shared" if the values order the source and the target events of a user together; "per_log" if each log counts
        on its own, without gaps and for most users not up to the largest value, so that source and target events cannot
        be ordered; None if the values are times, an order of all events, or absent.
    """
    logs = [(log.user, log.time) for log in (pair.source, pair.target) if log.time is not None and _is_plain_order(log)]
    if len(logs) < 2:
        return None
    logs = _of_first_users(logs)
    user, time = (np.concatenate(columns) for columns in zip(*logs, strict=True))
    if _is_own(_sequences(user, time), DENSITY):
        return "shared"
    alone = [_sequences(*log) for log in logs]
    counts_alone = all(_is_own(one, FULL_DENSITY) and (one.last == one.last.max()).mean() < 0.5 for one in alone)
    return "per_log" if counts_alone else None


def _of_first_users(logs: Sequence[tuple[Codes, Times]]) -> list[tuple[Codes, Times]]:
    """Return the events of as many users as have `MOST_EVENTS` events together; codes of users are in hash order."""
    events = np.bincount(np.concatenate([user for user, _ in logs]))
    n_users = max(int(np.searchsorted(np.cumsum(events), MOST_EVENTS, side="right")), ENOUGH_USERS)
    return [(user[user < n_users], time[user < n_users]) for user, time in logs]


@dataclass(frozen=True, slots=True, eq=False)
class _Sequences:
    """The values of each user with at least two events, shape (n_users,) each.

    Attributes:
        events: Number of events.
        distinct: Number of distinct values.
        common: Number of distinct values that other users have too.
        first: Smallest value.
        last: Largest value.
    """

    events: Int64
    distinct: Int64
    common: Int64
    first: Times
    last: Times


def _is_plain_order(log: EventLog) -> bool:
    return log.time_unit is not None and log.time_unit.kind == "order"


def _sequences(user: Codes, time: Times) -> _Sequences:
    n_users = int(user.max()) + 1 if len(user) else 0
    events = np.bincount(user, minlength=n_users)
    several = events >= 2
    user, time = user[several[user]], time[several[user]]
    rows = np.lexsort((time, user))
    user, time = user[rows], time[rows]
    is_new = np.ones(len(user), np.bool_)
    is_new[1:] = (user[1:] != user[:-1]) | (time[1:] != time[:-1])
    user, time = user[is_new], time[is_new]
    value, users_of = np.unique(time, return_inverse=True, return_counts=True)[1:]
    distinct = np.bincount(user, minlength=n_users)
    common = np.bincount(user[users_of[value] > 1], minlength=n_users)
    end = np.cumsum(distinct)[several]
    distinct = distinct[several]
    return _Sequences(events[several], distinct, common[several], time[end - distinct], time[end - 1])


def _is_own(sequences: _Sequences, density: float) -> bool:
    """Return whether the sequences are orders of each user's own; see `recognise_order`."""
    one = sequences
    if len(one.events) < 2:
        return False
    smallest = one.first.min()
    repeats, expected = (one.events - one.distinct).sum(), _chance_repeats(one).sum()
    starts_alike = len(one.first) >= ENOUGH_USERS and (one.first == smallest).mean() >= SAME_START
    if density < FULL_DENSITY and starts_alike and repeats <= REPEATS * one.events.sum():
        return True
    reach = COMMON_START * (one.last.max() - smallest)
    starts_near = (one.first - smallest <= max(reach, 1.0)).mean() >= MOST_USERS
    is_common = (one.common / one.distinct).mean() >= COMMON_VALUES
    is_distinct = repeats <= REPEATS * expected and expected >= ENOUGH_REPEATS
    is_dense = np.median(one.distinct / (one.last - smallest + 1)) >= density
    return bool(starts_near and is_common and is_distinct and is_dense)


def _chance_repeats(sequences: _Sequences) -> Floats:
    """Return the expected number of repeated values if each user's events were spread evenly over the user's range."""
    places = (sequences.last - sequences.first + 1).astype(np.float64)
    occupied = -places * np.expm1(sequences.events * np.log1p(-np.minimum(1 / places, 1 - 1e-12)))
    return sequences.events - occupied
