"""What every translator gives: a translation, which draws in chunks of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from scalr.config import SampleSettings, TranslateSettings
from scalr.domain import Codes, Pair
from scalr.receipt import Receipt


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Draws for one chunk of source events, those without an item already left out.

    Attributes:
        events: Source events that the chunk covered.
        item: Shape (n,), codes of target items.
        source_row: Shape (n,), rows of the pair's source log.
        draw: Shape (n,), number of the draw for its event, from 0.
        confidence: Shape (n,), share of other users' paths that lead to the item, in (0, 1].
        support: Shape (n,), distinct other users behind (source item, item), at least 1.
    """

    events: int
    item: Codes
    source_row: npt.NDArray[np.int64]
    draw: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]
    support: npt.NDArray[np.int32]


class Translation(Protocol):
    """P(target item | user, source item), fitted and able to draw from it."""

    @property
    def pair(self) -> Pair:
        """Return the logs it was fitted on."""

    @property
    def fitted_until(self) -> int | None:
        """Return the latest time of any event it saw; None without time."""

    @property
    def receipt(self) -> Receipt:
        """Return what fitting took."""

    def draw(self, settings: SampleSettings, *, seed: int, threads: int, chunk_rows: int) -> Iterator[Drawn]:
        """Draw for every positive source event, in chunks in canonical order.

        The draws depend on the settings and the seed, never on `threads` or `chunk_rows`.

        Args:
            settings: Draws per event, strategy, temperature and minimum support.
            seed: Any integer.
            threads: Chunks drawn at a time, at least 1.
            chunk_rows: About how many draws a chunk holds.
        """


class Translator(Protocol):
    """A recipe that fits a translation."""

    def __call__(self, pair: Pair, settings: TranslateSettings) -> Translation:
        """Fit on the positive events of `pair`."""
