"""Split a pair of logs into training data and held-out evaluation data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from scalr.foundation import Codes, ConfigError, Floats, Int64, LeakError, Mask, SchemaError, SplitSettings, Times, rng
from scalr.logs import EventLog, Pair, catalogue_of, format_time, has_events, parse_instant
from scalr.synthesis import check_labels

Rehearsal = Literal["near", "far"]
REHEARSALS: tuple[Rehearsal, ...] = ("near", "far")
SEGMENTS = ("all", "warm", "cold")
"""Segments of judged users: warm users have a target event that may be fitted, cold users have none."""
WARM_AND_COLD = SEGMENTS[1:]


def segment_mask(segment: str, is_warm: Mask) -> Mask:
    """Return the members of "all", "warm" or "cold", shape (n,), given which users or rows are warm."""
    return {"all": np.ones(len(is_warm), np.bool_), "warm": is_warm, "cold": ~is_warm}[segment]


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Training logs and the held-out (user, item) pairs that models are judged on.

    Attributes:
        name: "validation" or "test".
        pair: Training logs: events before `until`, without the target events of hidden users.
        until: First instant of the judged period; None for a random split.
        user: Shape (n,), user codes of the judged pairs.
        item: Shape (n,), item codes of the judged pairs; each (user, item) is new to the user and occurs once.
        seen: All target events before the period, including those of hidden users. They are not training data, but
            their pairs do not count as new.
        left_out: Number of pairs of the period that are not judged, by reason.
    """

    name: str
    pair: Pair
    until: int | None
    user: Codes
    item: Codes
    seen: EventLog
    left_out: Mapping[str, int]

    def is_cold(self, user: Codes) -> Mask:
        """Return whether each user has no target event in the training log, shape (n,)."""
        cold: Mask = ~has_events(self.pair.target.positives())[user]
        return cold

    def guard(self, fitted_until: int | None, what: str) -> None:
        """Refuse a model or translation that was fitted on an event of the judged period.

        Args:
            fitted_until: Latest time of the events that it was fitted on; None without time.
            what: Name of the object in the error message.

        Raises:
            LeakError: If `fitted_until` is not before `until`.
        """
        if self.until is not None and fitted_until is not None and fitted_until >= self.until:
            unit = self.pair.target.time_unit
            raise LeakError(
                f"{what} saw an event of {format_time(fitted_until, unit)}, inside the {self.name} period",
                expected=f"only events before {format_time(self.until, unit)}",
                fix="fit on the logs of the fold (`fold.pair`), not on the whole pair",
            )

    def guard_log(self, fitted_on: int | None, what: str) -> None:
        """Refuse a model or translation that was fitted on another target log, such as one with hidden or later events.

        Args:
            fitted_on: Digest of the target log that it was fitted on; None if unknown.
            what: Name of the object in the error message.

        Raises:
            LeakError: If the digest differs from the digest of the fold's target log.
        """
        if fitted_on is not None and fitted_on != self.pair.target.digest():
            raise LeakError(
                f"{what} was fitted on other target events than those of the {self.name} fold",
                expected="exactly the visible events of the fold, no hidden or later ones",
                fix="fit on the logs of the fold (`fold.pair`)",
            )


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Two folds of one pair: settings are chosen on `validation`, and the final models are judged once on `test`.

    Attributes:
        validation: Training data before the validation period, and the pairs of that period.
        test: Training data before the test period, and the pairs of that period.
        hidden_users: Codes of users whose target history is hidden in both folds.
        by: "time" or "random".
    """

    validation: Fold
    test: Fold
    hidden_users: Codes
    by: str


def split(pair: Pair, settings: SplitSettings, seed: int = 0) -> Split:
    """Split a pair into a validation and a test fold.

    Args:
        pair: Logs to split.
        settings: Shares of the periods, or the first instant of the test period; see `SplitSettings`.
        seed: Determines which users are hidden, and nothing else.

    Raises:
        SchemaError: If the split is by time and a log has no time.
        ConfigError: If a period has no positive target events, or no source event precedes a judged period.
    """
    period, (validation_cut, test_cut) = periods(pair, settings)
    hidden = _hidden_users(pair, settings, seed)
    return Split(
        validation=_fold("validation", pair, period, 1, validation_cut, hidden),
        test=_fold("test", pair, period, 2, test_cut, hidden),
        hidden_users=hidden,
        by=settings.by,
    )


def rehearsal(name: Rehearsal, pair: Pair, settings: SplitSettings, seed: int = 0) -> Split | None:
    """Return a split of the events before the test period, to rehearse a decision that is applied to the test period.

    `near` is judged on the validation period. `far` is judged on a period that is as long as the test period and ends
    where the test period begins. Each has a validation period of the usual length before it. `split` hides the same
    users.

    Args:
        name: `near` or `far`.
        pair: Logs to split.
        settings: The settings of `split`.
        seed: The seed of `split`.

    Returns:
        The split; None if a period has no positive target event or no source event precedes the validation period.
    """
    target = pair.target
    lengths = (settings.validation_share if name == "near" else _test_share(pair, settings), settings.validation_share)
    cuts: tuple[int | None, ...] = (None, None)
    if settings.by == "time":
        cuts = _instants(pair, settings, lengths)
        period = np.searchsorted(cuts, _times_of(pair), side="right")
    else:
        period = np.searchsorted(_edges(settings, lengths), _places(target), side="right")
    sizes = np.bincount(period if target.label is None else period[target.label == 1], minlength=3)
    source_time, first = pair.source.time, cuts[0]
    if not sizes[:3].all() or (first is not None and source_time is not None and not (source_time < first).any()):
        return None
    hidden = _hidden_users(pair, settings, seed)
    return Split(
        validation=_fold("validation", pair, period, 1, cuts[0], hidden),
        test=_fold("test", pair, period, 2, cuts[1], hidden),
        hidden_users=hidden,
        by=settings.by,
    )


def _test_share(pair: Pair, settings: SplitSettings) -> float:
    """Return the test period's share of the positive target events."""
    if settings.by == "random" or settings.test_from is None:
        return settings.test_share
    times = _times_of(replace(pair, target=pair.target.positives()))
    return float((times >= parse_instant(settings.test_from, pair.target.time_unit)).mean())


def periods(pair: Pair, settings: SplitSettings) -> tuple[Int64, tuple[int | None, int | None]]:
    """Return the period of each target event, shape (n,), and the first instants of periods 1 and 2.

    Periods are 0 (training data of both folds), 1 (validation) and 2 (test); the instants are None for a random split.

    Raises:
        SchemaError: If the split is by time and a log has no time.
        ConfigError: If a period has no positive target events.
    """
    target = pair.target
    cuts: tuple[int | None, int | None] = (None, None)
    if settings.by == "time":
        validation_cut, test_cut = _instants(pair, settings, (settings.validation_share,))
        cuts = (validation_cut, test_cut)
        period = np.searchsorted(cuts, _times_of(pair), side="right")
    else:
        period = np.searchsorted(_edges(settings, (settings.validation_share,)), _places(target), side="right")
    _refuse_empty(target, period)
    return period, cuts


def _times_of(pair: Pair) -> Times:
    """Return the times of target events, shape (n,); refuse a pair with a log that has no time."""
    if pair.target.time is None or pair.source.time is None:
        name = (pair.target if pair.target.time is None else pair.source).name
        raise SchemaError(
            f"the {name} log has no time column, but the split is by time",
            expected="a time column in every log",
            fix="name it with --time COL, or use --split random",
        )
    return pair.target.time


def _hidden_users(pair: Pair, settings: SplitSettings, seed: int) -> Codes:
    overlap = pair.overlap_users
    chance = rng.keyed_units(seed, rng.Purpose.HIDE_USER, pair.target.users.keys[overlap])
    hidden: Codes = overlap[chance < settings.hide_overlap]
    return hidden


def _edges(settings: SplitSettings, lengths: Sequence[float]) -> tuple[float, ...]:
    """Return the lower edges of the periods of a random split, ascending; see `_instants`."""
    edges = [1 - settings.test_share]
    for length in lengths:
        edges.insert(0, edges[0] - length)
    return tuple(edges)


def _places(target: EventLog) -> Floats:
    """Return a position in [0, 1) for each event of a random split, shape (n,); events of a pair share a position."""
    keys = (target.users.keys[target.user], target.items.keys[target.item])
    return rng.keyed_units(0, rng.Purpose.HOLD_OUT, *keys)


def _instants(pair: Pair, settings: SplitSettings, lengths: Sequence[float]) -> tuple[int, ...]:
    """Return the first instants of the periods, ascending; the last is the first instant of the test period.

    Each of `lengths` adds a period before the earlier ones: a share of the positive target events.
    """
    ordered = np.sort(_times_of(replace(pair, target=pair.target.positives())))
    n = len(ordered)
    if settings.test_from is None:
        test_cut = int(ordered[min(int(n * (1 - settings.test_share)), n - 1)])
    else:
        test_cut = parse_instant(settings.test_from, pair.target.time_unit)
    cuts = [test_cut]
    for length in lengths:
        before = int(np.searchsorted(ordered, cuts[0]))
        cuts.insert(0, min(int(ordered[min(max(before - round(n * length), 0), n - 1)]), cuts[0]))
    return tuple(cuts)


def _refuse_empty(target: EventLog, period: Int64) -> None:
    sizes = np.bincount(period if target.label is None else period[target.label == 1], minlength=3)
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


def _fold(name: str, pair: Pair, period: Int64, place: int, until: int | None, hidden: Codes) -> Fold:
    target, n_items = pair.target, len(pair.target.items)
    is_hidden = np.zeros(len(target.users), np.bool_)
    is_hidden[hidden] = True
    before = target.take(period < place)
    visible = before.take(~is_hidden[before.user])
    source = pair.source if until is None or pair.source.time is None else pair.source.take(pair.source.time < until)
    if not len(source):
        raise ConfigError(
            f"no source event is before the {name} period, which begins {format_time(until or 0, target.time_unit)}",
            expected="source events before the periods that are judged",
            fix="check the time columns and their units, or use --split random",
        )

    def pairs_of(mask: Mask) -> Int64:
        return np.unique(target.user[mask].astype(np.int64) * n_items + target.item[mask])

    positive = np.ones(len(target), np.bool_) if target.label is None else target.label == 1
    judged = pairs_of((period == place) & positive)
    new = np.setdiff1d(judged, pairs_of(period < place), assume_unique=True)
    user, item = (new // n_items).astype(np.int32), (new % n_items).astype(np.int32)
    in_catalogue = np.isin(item, catalogue_of(visible))
    known_user = (has_events(source) | has_events(visible))[user]
    keep = in_catalogue & known_user
    left_out = {
        "pairs_seen_before": len(judged) - len(new),
        "items_without_visible_events": int((~in_catalogue).sum()),
        "users_without_visible_events": int((in_catalogue & ~known_user).sum()),
    }
    return Fold(name, replace(pair, source=source, target=visible), until, user[keep], item[keep], before, left_out)


DAY = 86_400 * 1_000_000  # microseconds


@dataclass(frozen=True, slots=True, eq=False)
class ImpressionFold:
    """Training logs and the held-out real impressions that models are judged on.

    Attributes:
        fold: Training logs: impressions before the period whose labels are known when it begins, without those of
            hidden users, and the source events before the period.
        user: Shape (n,), user codes of the judged impressions, in the order of the log.
        item: Shape (n,), their item codes.
        label: Shape (n,), 1 if the impression led to a conversion, else 0.
        is_warm: Shape (n,), whether the user has a conversion in the training log.
    """

    fold: Fold
    user: Codes
    item: Codes
    label: npt.NDArray[np.int8]
    is_warm: Mask

    def in_segment(self, segment: str) -> Mask:
        """Return whether each judged impression belongs to "all", "warm" or "cold", shape (n,)."""
        return segment_mask(segment, self.is_warm)


def impression_folds(
    pair: Pair, settings: SplitSettings, seed: int = 0, *, label_delay_days: float = 0.0
) -> tuple[ImpressionFold, ImpressionFold]:
    """Split a pair with a target log of impressions; return the validation and the test fold.

    `split` gives the same periods and the same hidden users. All impressions of a period are judged, including pairs
    that were shown before and items that are new, since a model in production meets both.

    Args:
        pair: The logs.
        settings: Shares of the periods, or the first instant of the test period.
        seed: Determines which users are hidden.
        label_delay_days: Days until a label is known. Impressions that are younger when a period begins are not
            training data. Use 0 if the labels in the log were known at the time of the impression.

    Raises:
        SchemaError: If the target log, or the training part of it, lacks label 0 or label 1, or the split is by time
            and a log has no time.
        ConfigError: If a period has no positive target events, or no source event precedes a judged period.
    """
    check_labels(pair.target)
    both = split(pair, settings, seed)
    period, _ = periods(pair, settings)
    return (
        _impressions(both.validation, pair.target.take(period == 1), label_delay_days),
        _impressions(both.test, pair.target.take(period == 2), label_delay_days),
    )


def _impressions(fold: Fold, judged: EventLog, label_delay_days: float) -> ImpressionFold:
    visible = fold.pair.target
    if label_delay_days > 0 and fold.until is not None and visible.time is not None:
        visible = visible.take(visible.time < fold.until - round(label_delay_days * DAY))
        fold = replace(fold, pair=replace(fold.pair, target=visible))
    if visible.label is None or len(np.unique(visible.label)) < 2:
        raise SchemaError(
            f"what may be fitted before the {fold.name} period holds {len(visible):,} impressions of one label only",
            expected="impressions with label 0 and 1",
            fix="choose a later --test-from, a smaller --test-share, --hide-overlap or --label-delay-days",
        )
    assert judged.label is not None
    return ImpressionFold(fold, judged.user, judged.item, judged.label, ~fold.is_cold(judged.user))
