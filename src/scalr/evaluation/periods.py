"""Where the periods of a split begin: one instant for all users, one per user, or by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal

import numpy as np

from scalr.foundation import ConfigError, Floats, Int64, SchemaError, SplitSettings, Times, rng
from scalr.logs import EventLog, Pair, format_time, parse_instant, recognise_order

SplitKind = Literal["time", "per_user", "random"]

Cut = int | Times | None
"""First instant of a period: one for all users; one per user, shape (n_users,); None for a random split."""


@dataclass(frozen=True, slots=True)
class SplitRule:
    """How a pair is split, and why.

    Attributes:
        by: "time" (at one instant for all users), "per_user" (each user's own last events) or "random".
        is_declared: Whether the settings name it; otherwise it follows from the time columns.
        has_own_order: Whether the time columns were recognised as an order of each user's own, so that no split of the
            logs is a split by time; see `recognise_order`.
    """

    by: SplitKind = "time"
    is_declared: bool = False
    has_own_order: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the rule as `study.json` states it in its protocol."""
        return {"by": self.by, "declared": self.is_declared, "own_order": self.has_own_order}


@dataclass(frozen=True, slots=True, eq=False)
class Periods:
    """The periods of the target events.

    Attributes:
        of_event: Shape (n,), the period of each target event, from 0; period 0 is training data of both folds.
        cuts: First instants of period 1 and of the later ones.
    """

    of_event: Int64
    cuts: tuple[Cut, ...]


def split_rule(pair: Pair, settings: SplitSettings) -> SplitRule:
    """Return how a pair is split.

    With `by="auto"` the split is per user where the times are an order of each user's own, and by time otherwise. A
    declared `by="time"` is carried out for such logs too, since the recognition can be wrong and earlier results must
    stay reproducible; the rule says so (`has_own_order`), and so do the warnings of every study.

    Raises:
        SchemaError: If the split is by time or per user and a log has no time; or if each log counts the events of a
            user on its own, so that neither kind of split is possible, and none is declared.
        ConfigError: If the split is per user and `test_from` is set.
    """
    if settings.by == "random":
        return SplitRule("random", is_declared=True)
    refuse_untimed(pair)
    order = recognise_order(pair)
    is_declared = settings.by != "auto"
    if order == "per_log" and not is_declared:
        raise SchemaError(
            "the time columns number the events of each user in each log separately, so they do not order source "
            "events and target events",
            expected="times, or one sequence of each user's source and target events together",
            fix="number the events of each user over all logs, or use --split random; if the numbers are times, use "
            "--split time",
        )
    by: SplitKind = ("time" if order is None else "per_user") if settings.by == "auto" else settings.by
    if by == "per_user" and settings.test_from is not None:
        why = "is declared" if is_declared else "follows from the time column, an order of each user's own"
        raise ConfigError(
            f"test_from is '{settings.test_from}', but the split is per user, which {why}",
            expected="a share of each user's events as the test period (--test-share)",
            fix="omit --test-from, or use --split time if the numbers are times of all users",
        )
    return SplitRule(by, is_declared=is_declared, has_own_order=order is not None)


def periods_of(pair: Pair, settings: SplitSettings, rule: SplitRule, lengths: Sequence[float]) -> Periods:
    """Return the periods of a pair: the test period is the last one.

    Args:
        pair: The logs.
        settings: Share or first instant of the test period.
        rule: How the pair is split.
        lengths: Each adds a period before the earlier ones: a share of the positive target events, of all users or,
            if the split is per user, of each user.
    """
    target = pair.target
    if rule.by == "random":
        edges = _edges(settings, lengths)
        return Periods(np.searchsorted(edges, _places(target), side="right"), (None,) * len(edges))
    times = refuse_untimed(pair)
    if rule.by == "per_user":
        own = _own_cuts(pair, settings, lengths)
        return Periods(np.sum([times >= cut[target.user] for cut in own], axis=0, dtype=np.int64), tuple(own))
    cuts = _instants(pair, settings, lengths)
    return Periods(np.searchsorted(cuts, times, side="right"), cuts)


def before(log: EventLog, cut: Cut) -> EventLog:
    """Return the events before a cut: all of them without time or cut."""
    if cut is None or log.time is None:
        return log
    return log.take(log.time < (cut if isinstance(cut, int) else cut[log.user]))


def relative_to(log: EventLog, cut: Cut) -> EventLog:
    """Return a log whose times are differences from the user's own cut; unchanged if there is one cut for all users."""
    if cut is None or isinstance(cut, int) or log.time is None:
        return log
    return replace(log, time=log.time - cut[log.user])


def share_of_test(pair: Pair, settings: SplitSettings, rule: SplitRule) -> float:
    """Return the test period's share of the positive target events."""
    if rule.by == "random" or settings.test_from is None:
        return settings.test_share
    times = refuse_untimed(replace(pair, target=pair.target.positives()))
    return float((times >= parse_instant(settings.test_from, pair.target.time_unit)).mean())


def refuse_untimed(pair: Pair) -> Times:
    """Return the times of target events, shape (n,); refuse a pair with a log that has no time.

    Raises:
        SchemaError: If a log has no time.
    """
    if pair.target.time is None or pair.source.time is None:
        name = (pair.target if pair.target.time is None else pair.source).name
        raise SchemaError(
            f"the {name} log has no time column, but the split is by time",
            expected="a time column in every log",
            fix="name it with --time COL, or use --split random",
        )
    return pair.target.time


def refuse_empty(target: EventLog, period: Int64) -> None:
    """Refuse a split with an empty period.

    Raises:
        ConfigError: If no positive target event is in period 0, 1 or 2.
    """
    sizes = sizes_of(target, period)
    for place, name in enumerate(("before the validation period", "in the validation period", "in the test period")):
        if sizes[place] == 0:
            unit, times, span = target.time_unit, target.time, ""
            if times is not None:
                span = (
                    f" (events run from {format_time(int(times.min()), unit)} to {format_time(int(times.max()), unit)})"
                )
            raise ConfigError(
                f"no positive target event is {name}{span}",
                expected="target events before, in and after the validation period",
                fix="change --test-share or --test-from, check the time column, or use --split random",
            )


def sizes_of(target: EventLog, period: Int64) -> Int64:
    """Return the number of positive target events of each period, shape (n_periods,), at least 3."""
    return np.bincount(period if target.label is None else period[target.label == 1], minlength=3)


def _shares_from_end(settings: SplitSettings, lengths: Sequence[float]) -> list[float]:
    """Return the share of events from the beginning of each period to the end, in the order of the periods."""
    return list(accumulate((settings.test_share, *lengths)))[::-1]


def _edges(settings: SplitSettings, lengths: Sequence[float]) -> tuple[float, ...]:
    """Return the lower edges of the periods of a random split, ascending; see `periods_of`."""
    return tuple(1 - share for share in _shares_from_end(settings, lengths))


def _places(target: EventLog) -> Floats:
    """Return a position in [0, 1) for each event of a random split, shape (n,); events of a pair share a position."""
    keys = (target.users.keys[target.user], target.items.keys[target.item])
    return rng.keyed_units(0, rng.Purpose.HOLD_OUT, *keys)


def _instants(pair: Pair, settings: SplitSettings, lengths: Sequence[float]) -> tuple[int, ...]:
    """Return the first instants of the periods, ascending; the last is the first instant of the test period."""
    ordered = np.sort(refuse_untimed(replace(pair, target=pair.target.positives())))
    n = len(ordered)
    if settings.test_from is None:
        test_cut = int(ordered[min(int(n * (1 - settings.test_share)), n - 1)])
    else:
        test_cut = parse_instant(settings.test_from, pair.target.time_unit)
    cuts = [test_cut]
    for length in lengths:
        first = int(np.searchsorted(ordered, cuts[0]))
        cuts.insert(0, min(int(ordered[min(max(first - round(n * length), 0), n - 1)]), cuts[0]))
    return tuple(cuts)


def _own_cuts(pair: Pair, settings: SplitSettings, lengths: Sequence[float]) -> list[Times]:
    """Return the first instants of the periods of each user, ascending, shape (n_users,) each.

    A period begins with one of the user's positive target events. A user with n of them has n × share events from there
    to the end, rounded up or down by a hash of the user's id, so that shares hold on average for users with few events
    too. Events at the same time are in the same period. The period of a user without an event in it begins with the
    next one, or after the last event of the user.
    """
    target = pair.target.positives()
    n_users = len(target.users)
    end = np.full(n_users, np.iinfo(np.int64).min)
    for log in (pair.source, pair.target):
        assert log.time is not None  # refused by `refuse_untimed`
        np.maximum.at(end, log.user, log.time + 1)
    assert target.time is not None
    ordered = target.time[np.lexsort((target.time, target.user))]
    count = np.bincount(target.user, minlength=n_users)
    after = np.cumsum(count)
    chance = rng.keyed_units(0, rng.Purpose.HOLD_OUT, target.users.keys)
    cuts = []
    for share in _shares_from_end(settings, lengths):
        n_late = np.minimum(np.floor(count * share + chance + 1e-9).astype(np.int64), count)
        cuts.append(np.where(n_late > 0, ordered[np.minimum(after - n_late, len(ordered) - 1)], end))
    return cuts
