"""Negative rows beside synthetic events: as many as keep the base rate of the real log, from the law of its negatives.

A log of impressions has a label, and its base rate is what calibration rests on; synthetic events are all positive, so
by themselves they raise it. Each of them therefore brings negative rows along: of its own user, at its own time,
with items drawn by their share among the real negatives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from scalr.foundation import (
    Codes,
    Floats,
    Keys,
    NegativeSettings,
    SampleSettings,
    SchemaError,
    combine_keys,
    pairs_in_log,
    rng,
)
from scalr.logs import EventLog, StoredPair
from scalr.synthesis.events import Rows, SyntheticEvents, rows_of, taken
from scalr.synthesis.parts import part_ranges

REDRAWS = 16  # of an item that the user has a positive of; a user with so many positives keeps the last one
NEGATIVE_ROWS = 3 << 17  # rows made at a time, about: a row group, as where there are none


@dataclass(frozen=True, slots=True, eq=False)
class NegativeLaw:
    """What negative rows are drawn from.

    Attributes:
        item: Shape (n,), codes of the items with real negatives, ascending.
        below: Shape (n,), cumulative share of each among the real negatives (by weight), up to 1.
        odds: Weight of the real negatives per weight of the real positives, above 0.
        rows: Negative rows per synthetic event, above 0 and at most `odds`; need not be whole.
        positive_start: Shape (n_users + 1,), where each user's real positives start.
        positive_item: Their items by user, ascending within a user.
        seed: Any integer.
    """

    item: Codes
    below: Floats
    odds: float
    rows: float
    positive_start: npt.NDArray[np.int64]
    positive_item: Codes
    seed: int

    @classmethod
    def of(cls, target: EventLog, settings: NegativeSettings, seed: int) -> NegativeLaw:
        """Read the law off a log of impressions.

        Raises:
            SchemaError: If the log has no labels, or only one of them.
        """
        check_labels(target)
        assert target.label is not None
        weight = np.ones(len(target)) if target.weight is None else target.weight.astype(np.float64)
        is_negative = target.label == 0
        mass = np.bincount(target.item[is_negative], weight[is_negative], len(target.items))
        item = np.flatnonzero(mass).astype(np.int32)
        below = np.cumsum(mass[item])
        odds = float(weight[is_negative].sum() / weight[~is_negative].sum())
        positives = target.positives()
        start = np.zeros(len(target.users) + 1, np.int64)
        np.cumsum(np.bincount(positives.user, minlength=len(target.users)), out=start[1:])
        rows = odds if settings.per_positive is None else min(odds, float(settings.per_positive))
        return cls(item, below / below[-1], odds, rows, start, positives.item, seed)

    @property
    def base_rate(self) -> float:
        """Return the share of positives in the real log, by weight, in (0, 1)."""
        return 1.0 / (1.0 + self.odds)

    @property
    def weight(self) -> float:
        """Return what a negative row weighs per weight of its synthetic event, at least 1."""
        return self.odds / self.rows

    def counts(self, first: int, n: int) -> npt.NDArray[np.int64]:
        """Return the negative rows of the synthetic events numbered `first` to `first` + n, shape (n,).

        They differ by one at most, and those of the first k events are k · `rows`, rounded.
        """
        ends = np.floor(np.arange(first, first + n + 1, dtype=np.float64) * self.rows + 0.5)
        return np.diff(ends).astype(np.int64)

    def draw(self, user: Codes, own_item: Codes, keys: Keys) -> Codes:
        """Draw an item for each negative row, shape (n,).

        An item that would contradict a positive is drawn again: the synthetic event's own one, and those that the user
        has real positives of.

        Args:
            user: Shape (n,), codes.
            own_item: Shape (n,), item of the synthetic event that each row belongs to.
            keys: Shape (n,), keys of the rows.
        """
        item = np.empty(len(user), np.int32)
        left = np.arange(len(user))
        for attempt in range(REDRAWS):
            chance = rng.keyed_units(
                self.seed, rng.Purpose.SYNTHETIC_NEGATIVES, keys[left], np.full(len(left), attempt, np.uint64)
            )
            item[left] = self.item[np.searchsorted(self.below, chance, side="right")]
            contradicts = pairs_in_log(user[left], item[left], self.positive_start, self.positive_item)
            contradicts |= item[left] == own_item[left]
            left = left[contradicts]
            if not len(left):
                break
        return item

    def details(self) -> dict[str, Any]:
        """Return the facts of the law for a receipt."""
        return {
            "base_rate": self.base_rate,
            "rows_per_positive": self.rows,
            "weight": self.weight,
        }


def check_labels(target: EventLog) -> None:
    """Refuse a log that is no log of impressions.

    Raises:
        SchemaError: If it has no labels, or only one of them.
    """
    if target.label is None:
        names = ", ".join(() if target.schema is None else target.schema.names)
        raise SchemaError(
            f"the {target.name} log has no label column{f' (it has {names})' if names else ''}",
            expected="a log of impressions with 0 and 1, for its base rate and the law of its negatives",
            fix="name the column with --label COL, or leave negatives and conversions out",
        )
    positives = int((target.label == 1).sum())
    if positives in (0, len(target)):
        raise SchemaError(
            f"all {len(target):,} labels of the {target.name} log are {int(positives > 0)}",
            expected="a log of impressions with 0 and 1",
            fix="add the impressions that the log leaves out, or leave negatives and conversions out",
        )


def with_negatives(rows: Rows, law: NegativeLaw, first: int = 0) -> Iterator[Rows]:
    """Give synthetic events, each followed by its negative rows, about `NEGATIVE_ROWS` rows at a time.

    A negative row has everything of its synthetic event but the item, the label, the weight, and confidence and
    support, which are 0: no translation drew it.

    Args:
        rows: Synthetic events, in order.
        law: What negatives are drawn from.
        first: Number of the first of them among those that are counted together.
    """
    step = max(1, int(NEGATIVE_ROWS / (1.0 + law.rows)))
    for begin in range(0, len(rows), step):
        yield _with_negatives(rows, law, slice(begin, min(begin + step, len(rows))), first)


def labelled_rows_of(
    events: SyntheticEvents, law: NegativeLaw, pair: StoredPair, settings: SampleSettings
) -> Iterator[Rows]:
    """Give events in memory with their negative rows: those that are written part by part, in the same order.

    Args:
        events: Synthetic events of `pair`, in canonical order.
        law: What negatives are drawn from.
        pair: The logs.
        settings: How the events were drawn; with the logs it says where parts end.
    """
    rows = rows_of(events)
    ends = np.searchsorted(rows.source_item, [last for _, last in part_ranges(pair, settings)])
    for begin, end in pairwise([0, *ends]):
        yield from with_negatives(taken(rows, np.arange(begin, end)), law)


def _with_negatives(rows: Rows, law: NegativeLaw, chosen: slice, first: int) -> Rows:
    n = chosen.stop - chosen.start
    counts = law.counts(first + chosen.start, n)
    of_row = np.repeat(np.arange(chosen.start, chosen.stop), counts + 1)
    head = np.cumsum(counts + 1) - (counts + 1)
    number = np.arange(len(of_row)) - np.repeat(head, counts + 1)
    is_negative = number > 0
    event, item = rows.event[of_row], rows.item[of_row].copy()
    mine = of_row[is_negative]
    user = rows.event_user[rows.event[mine]]
    keys = combine_keys(
        combine_keys(rows.event_key[rows.event[mine]], rows.draw[mine].astype(np.uint64)),
        number[is_negative].astype(np.uint64),
    )
    item[is_negative] = law.draw(user, rows.item[mine], keys)
    return Rows(
        event=event,
        event_user=rows.event_user,
        event_item=rows.event_item,
        event_time=rows.event_time,
        event_key=rows.event_key,
        item=item,
        draw=rows.draw[of_row],
        confidence=np.where(is_negative, np.float32(0), rows.confidence[of_row]),
        support=np.where(is_negative, np.int32(0), rows.support[of_row]),
        weight=np.where(is_negative, rows.weight[of_row] * np.float32(law.weight), rows.weight[of_row]),
        label=(~is_negative).astype(np.int8),
    )
