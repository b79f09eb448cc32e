"""Synthetic events as codes: the output of sampling and refining, and the input of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from scalr.foundation import Codes, Keys, Receipt, Times, combine_keys
from scalr.logs import Pair, catalogue_of


class DrawnEvents(Protocol):
    """Columns that refining looks at, shape (n,) each; `SyntheticEvents` and `Rows` have them."""

    @property
    def user(self) -> Codes:
        """Return the code of the user."""

    @property
    def item(self) -> Codes:
        """Return the code of the target item."""

    @property
    def time(self) -> Times | None:
        """Return the time of the source event; None without time."""

    @property
    def confidence(self) -> npt.NDArray[np.float32]:
        """Return the confidence, in [0, 1]."""

    @property
    def support(self) -> npt.NDArray[np.int32]:
        """Return the number of other users behind (source item, item)."""

    @property
    def weight(self) -> npt.NDArray[np.float32]:
        """Return the weight, at least 0."""

    def keys(self) -> Keys:
        """Return a stable 64-bit key, of the source event and the draw."""


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticEvents:
    """Target events that users might have had, each drawn for one source event.

    Rows are in canonical order: source item, user, source event, draw.

    Attributes:
        pair: The logs of the fit.
        user: Shape (n,), codes into `pair.target.users`.
        item: Shape (n,), codes into `pair.target.items`.
        source_row: Shape (n,), rows of `pair.source`.
        draw: Shape (n,), number of the draw for its source event, from 0.
        confidence: Shape (n,), P(item | source item) without the user's own events, in [0, 1].
        support: Shape (n,), distinct other overlap users behind (source item, item).
        weight: Shape (n,), weight of the source event (1 without weights), at least 0.
        fitted_until: Latest time of all events of the fit; None without time.
        seed: The seed of the draws.
        receipts: One per completed stage.
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
        """Return the events selected by a mask, shape (n,), or by row numbers."""
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

    @property
    def time(self) -> Times | None:
        """Return the time of the source event, shape (n,); None without time."""
        time = self.pair.source.time
        return None if time is None else time[self.source_row]

    def keys(self) -> Keys:
        """Return a stable 64-bit key per event, shape (n,), of its source event and its draw."""
        return combine_keys(self.pair.source.keys()[self.source_row], self.draw.astype(np.uint64))

    def item_coverage(self) -> float:
        """Return the share of the catalogue (target items with a positive event) among the events, in [0, 1]."""
        reached = np.bincount(self.item, minlength=len(self.pair.target.items)) > 0
        return int(reached.sum()) / max(len(catalogue_of(self.pair.target)), 1)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Synthetic events with the columns of their source events, ready to be written.

    Several rows share a source event, so its columns are stored once per event, and `event` holds places in them.

    Attributes:
        event: Shape (n,), places in the next four.
        event_user: Codes of users.
        event_item: Codes of source items.
        event_time: Times; None without time.
        event_key: Keys of source events.
        item: Shape (n,), codes of target items, as all further arrays.
        draw: Number of the draw for its source event, from 0.
        confidence: As in `SyntheticEvents`.
        support: Distinct other users behind (source item, item).
        weight: At least 0.
        label: 1, or 0 for a negative row; None if all are 1.
    """

    event: npt.NDArray[Any]
    event_user: Codes
    event_item: Codes
    event_time: Times | None
    event_key: Keys
    item: Codes
    draw: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]
    support: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]
    label: npt.NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self.item)

    @property
    def user(self) -> Codes:
        """Return the code of the user, shape (n,)."""
        user: Codes = self.event_user[self.event]
        return user

    @property
    def source_item(self) -> Codes:
        """Return the code of the source item, shape (n,)."""
        source_item: Codes = self.event_item[self.event]
        return source_item

    @property
    def time(self) -> Times | None:
        """Return the time of the source event, shape (n,); None without time."""
        return None if self.event_time is None else self.event_time[self.event]

    @property
    def key(self) -> Keys:
        """Return the key of the source event, shape (n,)."""
        key: Keys = self.event_key[self.event]
        return key

    def keys(self) -> Keys:
        """Return a stable key per row, shape (n,), of its source event and its draw; see `SyntheticEvents.keys`."""
        return combine_keys(self.key, self.draw.astype(np.uint64))


def no_rows(*, timed: bool) -> Rows:
    """Return zero rows, with or without times."""
    codes, floats = np.zeros(0, np.int32), np.zeros(0, np.float32)
    time = np.zeros(0, np.int64) if timed else None
    return Rows(codes, codes, codes, time, np.zeros(0, np.uint64), codes, codes, floats, codes, floats)


def taken(rows: Rows, places: npt.NDArray[np.int64]) -> Rows:
    """Return copies of the rows at `places`, each with its own source event."""
    event = rows.event[places]
    return Rows(
        event=np.arange(len(places)),
        event_user=rows.event_user[event],
        event_item=rows.event_item[event],
        event_time=None if rows.event_time is None else rows.event_time[event],
        event_key=rows.event_key[event],
        item=rows.item[places],
        draw=rows.draw[places],
        confidence=rows.confidence[places],
        support=rows.support[places],
        weight=rows.weight[places],
        label=None if rows.label is None else rows.label[places],
    )


def joined(parts: Sequence[Rows]) -> Rows:
    """Concatenate rows; each must have its own source event, as `taken` returns them."""
    names = [one.name for one in fields(Rows) if getattr(parts[0], one.name) is not None]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return replace(parts[0], **columns | {"event": np.arange(len(columns["item"]))})


def rows_of(events: SyntheticEvents) -> Rows:
    """Return events as rows."""
    source = events.pair.source
    return Rows(
        event=events.source_row,
        event_user=source.user,
        event_item=source.item,
        event_time=source.time,
        event_key=source.keys(),
        item=events.item,
        draw=events.draw,
        confidence=events.confidence,
        support=events.support,
        weight=events.weight,
    )
