"""Synthetic events as codes: what sampling returns, refining narrows and training uses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from scalr.domain import Codes, EventLog, Keys, Pair
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


def catalogue_of(target: EventLog) -> Codes:
    """Return the codes of items with at least one positive event, ascending: what can be drawn or ranked."""
    taken = np.bincount(target.positives().item, minlength=len(target.items))
    return np.flatnonzero(taken).astype(np.int32)
