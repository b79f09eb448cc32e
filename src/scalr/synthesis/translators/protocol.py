"""What every translator gives: a translation, and from it drawings, which draw for ranges of source events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from scalr.foundation import Codes, Floats, Keys, Receipt, SampleSettings, TranslateSettings
from scalr.logs import EventLog, Pair, StoredPair
from scalr.synthesis.kernels import path_layout as layout

NO_ITEM = layout.NO_ITEM
"""What a draw holds where nothing can be drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Draws for a range of source events, event by event; the arrays are used again by the next call.

    Attributes:
        key: Shape (events,), keys of the source events.
        item: Shape (events * draws,), codes of target items, or `NO_ITEM`.
        confidence: Same shape, P(item | source item) without the user's own events, in (0, 1].
        support: Same shape, distinct other users behind (source item, item), at least 1; of a draw that backed off,
            behind (category, item) or the item.
    """

    key: Keys
    item: Codes
    confidence: npt.NDArray[np.float32]
    support: npt.NDArray[np.int32]


def supported(settings: SampleSettings, least: int) -> SampleSettings:
    """Return the settings with a minimum support of at least `least`."""
    return settings if settings.min_support >= least else settings.model_copy(update={"min_support": least})


class Drawing(Protocol):
    """Draws for the positive events of some source items. One thread uses it; `fork` gives one to another thread."""

    @property
    def events(self) -> EventLog:
        """Return the positive source events, by item."""

    def draw(self, first: int, last: int) -> Draws:
        """Draw for events [first, last). What is drawn never depends on the ranges that are asked for."""

    def fork(self) -> Drawing:
        """Return the same for another thread."""


class Translation(Protocol):
    """P(target item | user, source item), fitted and able to draw from it."""

    @property
    def pair(self) -> Pair | StoredPair:
        """Return the logs it was fitted on."""

    @property
    def fitted_until(self) -> int | None:
        """Return the latest time of any event it saw; None without time."""

    @property
    def receipt(self) -> Receipt:
        """Return what fitting took."""

    def drawing(self, source: EventLog, settings: SampleSettings, *, seed: int, most: int) -> Drawing:
        """Get ready to draw for source events.

        Args:
            source: All events of some source items of the logs it was fitted on.
            settings: Draws per event, strategy, temperature and minimum support.
            seed: Any integer.
            most: Events that are asked for at a time, at most.
        """

    def probability(self, user: Codes, item: Codes) -> Floats:
        """Return P(item | user): the mean of P(item | user, source item) over the user's positive source events.

        At temperature 1 and minimum support 1, over all source events of the logs it was fitted on. As in draws, the
        user's own target items are no witnesses. A source event from which nothing can be drawn counts as 0, so a
        user's probabilities over all items sum to 1 at most.

        Args:
            user: Shape (n,), codes.
            item: Shape (n,), codes of target items.

        Returns:
            Shape (n,), in [0, 1]; 0 where the item has no chance or the user no source event.
        """


class Translator(Protocol):
    """A recipe that fits a translation."""

    def __call__(self, pair: Pair | StoredPair, settings: TranslateSettings) -> Translation:
        """Fit on the positive events of `pair`."""
