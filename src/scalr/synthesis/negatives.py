"""Negative rows for synthetic events: enough to keep the base rate, with items from the real negatives.

The calibration of a model depends on the base rate of its log of impressions. Synthetic events are all positive and
would raise it. Each of them therefore gets negative rows with the same user and time, and with items drawn by their
share among the real negatives.
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

REDRAWS = 16  # of an item with a positive event of the user; the last draw is kept
NEGATIVE_ROWS = 3 << 17  # approximate rows per block, the size of a row group


@dataclass(frozen=True, slots=True, eq=False)
class NegativeLaw:
    """The distribution of negative rows.

    Attributes:
        item: Shape (n,), codes of the items with real negatives, ascending.
        below: Shape (n,), cumulative share of each among the real negatives (by weight), up to 1.
        odds: Weight of the real negatives per weight of the real positives, above 0.
        rows: Mean number of negative rows per synthetic event, above 0 and at most `odds`.
        positive_start: Shape (n_users + 1,), start of each user's real positives.
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
    def from_log(cls, target: EventLog, settings: NegativeSettings, seed: int) -> NegativeLaw:
        """Estimate the law from a log of impressions.

        Raises:
            SchemaError: If the log has no labels, or only one distinct label.
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
        """Return the weight of a negative row as a multiple of that of its synthetic event, at least 1."""
        return self.odds / self.rows

    def counts(self, first: int, n: int) -> npt.NDArray[np.int64]:
        """Return the number of negative rows for each synthetic event in [first, first + n), shape (n,).

        The numbers differ by at most one; the first k events have k · `rows` negative rows, rounded.
        """
        ends = np.floor(np.arange(first, first + n + 1, dtype=np.float64) * self.rows + 0.5)
        return np.diff(ends).astype(np.int64)

    def draw(self, user: Codes, own_item: Codes, keys: Keys) -> Codes:
        """Draw an item for each negative row, shape (n,).

        An item is drawn again if it is the item of the synthetic event or of a real positive of the user.

        Args:
            user: Shape (n,), codes.
            own_item: Shape (n,), item of each row's synthetic event.
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
    """Check that a log is a log of impressions.

    Raises:
        SchemaError: If it has no labels, or only one distinct label.
    """
    if target.label is None:
        names = ", ".join(() if target.schema is None else target.schema.names)
        raise SchemaError(
            f"the {target.name} log has no label column{f' (it has {names})' if names else ''}",
            expected="a log of impressions with 0 and 1, for its base rate and the law of its negatives",
            fix="name the column with --label COL, or omit negatives and conversions",
        )
    positives = int((target.label == 1).sum())
    if positives in (0, len(target)):
        raise SchemaError(
            f"all {len(target):,} labels of the {target.name} log are {int(positives > 0)}",
            expected="a log of impressions with 0 and 1",
            fix="add the missing impressions, or omit negatives and conversions",
        )


def with_negatives(rows: Rows, law: NegativeLaw, first: int = 0) -> Iterator[Rows]:
    """Yield synthetic events, each followed by its negative rows, in blocks of about `NEGATIVE_ROWS` rows.

    A negative row differs from its synthetic event by item, label and weight; its confidence and support are 0.

    Args:
        rows: Synthetic events, in order.
        law: The law of negatives.
        first: Number of the first event, for `NegativeLaw.counts`.
    """
    step = max(1, int(NEGATIVE_ROWS / (1.0 + law.rows)))
    for begin in range(0, len(rows), step):
        yield _with_negatives(rows, law, slice(begin, min(begin + step, len(rows))), first)


def labelled_rows_of(
    events: SyntheticEvents, law: NegativeLaw, pair: StoredPair, settings: SampleSettings
) -> Iterator[Rows]:
    """Yield events in memory with the same negative rows, in the same order, as a run that writes part by part.

    Args:
        events: Synthetic events of `pair`, in canonical order.
        law: The law of negatives.
        pair: The logs.
        settings: Settings of the draws, which define the parts together with the logs.
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
    origin = of_row[is_negative]
    event_key = rows.event_key[rows.event[origin]]
    draw_key = combine_keys(event_key, rows.draw[origin].astype(np.uint64))
    keys = combine_keys(draw_key, number[is_negative].astype(np.uint64))
    item[is_negative] = law.draw(rows.event_user[rows.event[origin]], rows.item[origin], keys)
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
