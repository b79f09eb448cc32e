"""Split a pair of logs into training data and held-out evaluation data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from scalr.evaluation.periods import (
    Periods,
    SplitKind,
    SplitRule,
    before,
    periods_of,
    refuse_empty,
    relative_to,
    share_of_test,
    sizes_of,
    split_rule,
)
from scalr.foundation import Codes, ConfigError, Int64, LeakError, Mask, SchemaError, SplitSettings, Times, rng
from scalr.logs import EventLog, Pair, catalogue_of, format_time, has_events
from scalr.synthesis import check_labels

Rehearsal = Literal["near", "far"]
REHEARSALS: tuple[Rehearsal, ...] = ("near", "far")
WARM_AND_COLD = ("warm", "cold")
SEGMENTS = ("all", *WARM_AND_COLD, "naturally_cold")
"""Segments of judged users: warm users have a target event that may be fitted, cold users have none. Naturally cold
users are the cold users without any target event before the period; those of the other cold users are hidden."""


def segment_mask(segment: str, is_warm: Mask, is_naturally_cold: Mask) -> Mask:
    """Return the members of one of `SEGMENTS`, shape (n,), given which users or rows are warm and naturally cold."""
    if segment == "all":
        return np.ones(len(is_warm), np.bool_)
    return {"warm": is_warm, "cold": ~is_warm, "naturally_cold": is_naturally_cold}[segment]


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Training logs and the held-out (user, item) pairs that models are judged on.

    Attributes:
        name: "validation" or "test".
        pair: Training logs: events before `until`, without the target events of hidden users. If the split is per user,
            times are differences from the user's own cut, so the last event of every user is just below 0.
        until: First instant of the judged period; 0, each user's own cut, if the split is per user; None for a random
            split.
        user: Shape (n,), user codes of the judged pairs.
        item: Shape (n,), item codes of the judged pairs; each (user, item) is new to the user and occurs once.
        seen: All target events before the period, including those of hidden users. They are not training data, but
            their pairs do not count as new.
        left_out: Number of pairs of the period that are not judged, by reason.
        rule: How the logs were split.
        cuts: Shape (n_users,), if the split is per user: each user's first instant of the judged period, in the numbers
            of the log; None otherwise.
    """

    name: str
    pair: Pair
    until: int | None
    user: Codes
    item: Codes
    seen: EventLog
    left_out: Mapping[str, int]
    rule: SplitRule
    cuts: Times | None

    def is_cold(self, user: Codes) -> Mask:
        """Return whether each user has no target event in the training log, shape (n,)."""
        cold: Mask = ~has_events(self.pair.target.positives())[user]
        return cold

    def is_naturally_cold(self, user: Codes) -> Mask:
        """Return whether each user has no target event before the period, hidden ones included, shape (n,)."""
        cold: Mask = ~has_events(self.seen.positives())[user]
        return cold

    def guard(self, fitted_until: int | None, what: str) -> None:
        """Refuse a model or translation that was fitted on an event of the judged period.

        Args:
            fitted_until: Latest time of the events that it was fitted on, on the clock of the fold's logs; None without
                time.
            what: Name of the object in the error message.

        Raises:
            LeakError: If `fitted_until` is not before `until`.
        """
        if self.until is not None and fitted_until is not None and fitted_until >= self.until:
            if self.cuts is not None:
                raise LeakError(
                    f"{what} saw an event at {fitted_until} after the user's own cut, inside the {self.name} period",
                    expected="only events before the cut of their user",
                    fix="fit on the logs of the fold (`fold.pair`), not on the whole pair",
                )
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
        by: "time", "per_user" or "random".
    """

    validation: Fold
    test: Fold
    hidden_users: Codes
    by: SplitKind


def split(pair: Pair, settings: SplitSettings, seed: int = 0) -> Split:
    """Split a pair into a validation and a test fold.

    Args:
        pair: Logs to split.
        settings: Shares of the periods, or the first instant of the test period; see `SplitSettings`.
        seed: Determines which users are hidden, and nothing else.

    Raises:
        SchemaError: If the split is by time or per user and a log has no time; see `split_rule`.
        ConfigError: If a period has no positive target events, or no source event precedes a judged period.
    """
    rule = split_rule(pair, settings)
    found = periods_of(pair, settings, rule, (settings.validation_share,))
    refuse_empty(pair.target, found.of_event)
    return _folds(pair, found, rule, _hidden_users(pair, settings, seed))


def _folds(pair: Pair, found: Periods, rule: SplitRule, hidden: Codes) -> Split:
    return Split(
        validation=_fold("validation", pair, found, rule, hidden),
        test=_fold("test", pair, found, rule, hidden),
        hidden_users=hidden,
        by=rule.by,
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
    rule = split_rule(pair, settings)
    length = settings.validation_share if name == "near" else share_of_test(pair, settings, rule)
    found = periods_of(pair, settings, rule, (length, settings.validation_share))
    sizes = sizes_of(pair.target, found.of_event)
    if not sizes[:3].all() or not len(before(pair.source, found.cuts[0])):
        return None
    return _folds(pair, found, rule, _hidden_users(pair, settings, seed))


def _hidden_users(pair: Pair, settings: SplitSettings, seed: int) -> Codes:
    overlap = pair.overlap_users
    chance = rng.keyed_units(seed, rng.Purpose.HIDE_USER, pair.target.users.keys[overlap])
    hidden: Codes = overlap[chance < settings.hide_overlap]
    return hidden


def _fold(name: Literal["validation", "test"], pair: Pair, found: Periods, rule: SplitRule, hidden: Codes) -> Fold:
    target, n_items, period = pair.target, len(pair.target.items), found.of_event
    place = 1 if name == "validation" else 2
    cut = found.cuts[place - 1]
    is_hidden = np.zeros(len(target.users), np.bool_)
    is_hidden[hidden] = True
    seen = target.take(period < place)
    visible = seen.take(~is_hidden[seen.user])
    source = before(pair.source, cut)
    if not len(source):
        begins = f"begins {format_time(cut, target.time_unit)}" if isinstance(cut, int) else "is each user's own"
        raise ConfigError(
            f"no source event is before the {name} period, which {begins}",
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
    return Fold(
        name,
        replace(pair, source=relative_to(source, cut), target=relative_to(visible, cut)),
        cut if cut is None or isinstance(cut, int) else 0,
        user[keep],
        item[keep],
        relative_to(seen, cut),
        left_out,
        rule,
        None if isinstance(cut, int) else cut,
    )


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
        is_naturally_cold: Shape (n,), whether the user has no conversion before the period, hidden ones and those whose
            labels were not known yet included.
    """

    fold: Fold
    user: Codes
    item: Codes
    label: npt.NDArray[np.int8]
    is_warm: Mask
    is_naturally_cold: Mask

    def in_segment(self, segment: str) -> Mask:
        """Return whether each judged impression belongs to one of `SEGMENTS`, shape (n,)."""
        return segment_mask(segment, self.is_warm, self.is_naturally_cold)


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
    unit = pair.target.time_unit
    if label_delay_days > 0 and both.by != "random" and unit is not None and unit.kind == "order":
        raise ConfigError(
            f"label_delay_days is {label_delay_days:g}, but the time column is an order, which has no days",
            expected="times such as dates or seconds since 1970",
            fix="omit --label-delay-days, or give a column with times",
        )
    period = periods_of(pair, settings, both.test.rule, (settings.validation_share,)).of_event
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
    warm, naturally_cold = ~fold.is_cold(judged.user), fold.is_naturally_cold(judged.user)
    return ImpressionFold(fold, judged.user, judged.item, judged.label, warm, naturally_cold)
