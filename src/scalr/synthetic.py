"""Synthetic events as codes: what sampling returns, refining narrows and training uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from scalr.domain import Codes, EventLog, Keys, Pair, Times
from scalr.kernels.hashing import combine_keys
from scalr.receipt import Receipt


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticEvents:
    """Target events that users might have had, each drawn for one source event.

    Rows stand in canonical order: source item, user, source event, draw.

    Attributes:
        pair: The logs the translation was fitted on.
        user: Shape (n,), codes into `pair.target.users`.
        item: Shape (n,), codes into `pair.target.items`.
        source_row: Shape (n,), rows of `pair.source`.
        draw: Shape (n,), number of the draw for its source event, from 0.
        confidence: Shape (n,), P(item | source item) without the user's own events, in [0, 1].
        support: Shape (n,), distinct other overlap users behind (source item, item).
        weight: Shape (n,), weight of the source event (1 without weights), at least 0.
        fitted_until: Latest time of any event the translation saw; None without time.
        seed: The seed of the draws.
        receipts: One per stage so far.
    """

    pair: Pair
    user: Codes
    item: Codes
    source_row: npt.NDArray[np.int64]
    draw: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]
    support: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]
    fitted_until: int | None
    seed: int
    receipts: tuple[Receipt, ...] = ()

    def __len__(self) -> int:
        return len(self.user)

    def take(self, keep: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> SyntheticEvents:
        """Return the events where `keep`, shape (n,), is true, or the rows it numbers."""
        return replace(
            self,
            user=self.user[keep],
            item=self.item[keep],
            source_row=self.source_row[keep],
            draw=self.draw[keep],
            confidence=self.confidence[keep],
            support=self.support[keep],
            weight=self.weight[keep],
        )

    def with_receipt(self, receipt: Receipt) -> SyntheticEvents:
        """Return the same events with one more receipt."""
        return replace(self, receipts=(*self.receipts, receipt))

    def keys(self) -> Keys:
        """Return a stable 64-bit key per event, shape (n,), of its source event and its draw."""
        return combine_keys(self.pair.source.keys()[self.source_row], self.draw.astype(np.uint64))

    def item_coverage(self) -> float:
        """Return the share of the target items (with a positive event) that the events reach, in [0, 1]."""
        reached = np.bincount(self.item, minlength=len(self.pair.target.items)) > 0
        return int(reached.sum()) / max(len(catalogue_of(self.pair.target)), 1)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Synthetic events with what their source events bring along: all that writing needs; shape (n,) each.

    Attributes:
        user: Codes of users.
        item: Codes of target items.
        source_item: Codes of source items.
        time: Times of the source events; None without time.
        key: Keys of the source events.
        draw: Number of the draw for its source event, from 0.
        confidence: As in `SyntheticEvents`, like the next two.
        support: Distinct other users behind (source item, item).
        weight: At least 0.
    """

    user: Codes
    item: Codes
    source_item: Codes
    time: Times | None
    key: Keys
    draw: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]
    support: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.user)


def no_rows(*, timed: bool) -> Rows:
    """Return no rows, with times or without."""
    codes, floats = np.zeros(0, np.int32), np.zeros(0, np.float32)
    time = np.zeros(0, np.int64) if timed else None
    return Rows(codes, codes, codes, time, np.zeros(0, np.uint64), codes, floats, codes, floats)


def taken(rows: Rows, places: npt.NDArray[np.int64]) -> Rows:
    """Return the rows at `places`."""
    names = [one.name for one in fields(Rows) if getattr(rows, one.name) is not None]
    return replace(rows, **{name: getattr(rows, name)[places] for name in names})


def joined(parts: Sequence[Rows]) -> Rows:
    """Return rows one after another."""
    names = [one.name for one in fields(Rows) if getattr(parts[0], one.name) is not None]
    return replace(parts[0], **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def rows_of(events: SyntheticEvents) -> Rows:
    """Return events as rows."""
    source, row = events.pair.source, events.source_row
    return Rows(
        user=events.user,
        item=events.item,
        source_item=source.item[row],
        time=None if source.time is None else source.time[row],
        key=source.keys()[row],
        draw=events.draw,
        confidence=events.confidence,
        support=events.support,
        weight=events.weight,
    )


def catalogue_of(target: EventLog) -> Codes:
    """Return the codes of items with at least one positive event, ascending: what can be drawn or ranked."""
    taken = np.bincount(target.positives().item, minlength=len(target.items))
    return np.flatnonzero(taken).astype(np.int32)
