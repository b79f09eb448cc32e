"""Protocols of the translators: a translator fits a translation; its drawings draw for ranges of source events."""

from __future__ import annotations

from typing import Protocol

from scalr.foundation import Codes, Floats, Receipt, SampleSettings, TranslateSettings
from scalr.logs import EventLog, Pair, StoredPair
from scalr.synthesis.kernels.path_layout import NO_ITEM, Draws, Sampling

__all__ = ["NO_ITEM", "Drawing", "Draws", "Translation", "Translator", "sampling_of", "supported"]


def sampling_of(settings: SampleSettings) -> Sampling:
    """Return sample settings in the form that kernels take."""
    return Sampling(
        settings.draws_per_event, 1.0 / settings.temperature, settings.min_support, settings.strategy == "topk"
    )


def supported(settings: SampleSettings, least: int) -> SampleSettings:
    """Return settings with a minimum support of at least `least`."""
    return settings if settings.min_support >= least else settings.model_copy(update={"min_support": least})


class Drawing(Protocol):
    """Draws for the positive events of some source items. Not thread-safe: `fork` returns a copy for another thread."""

    @property
    def events(self) -> EventLog:
        """Return the positive source events, by item."""

    def draw(self, first: int, last: int) -> Draws:
        """Draw for the events [first, last). Draws of an event do not depend on the range."""

    def fork(self) -> Drawing:
        """Return a copy with its own workspace, for another thread."""


class Translation(Protocol):
    """A fitted estimate of P(target item | user, source item) from which items can be drawn."""

    @property
    def pair(self) -> Pair | StoredPair:
        """Return the logs of the fit."""

    @property
    def fitted_until(self) -> int | None:
        """Return the latest time of all events of the fit; None without time."""

    @property
    def receipt(self) -> Receipt:
        """Return the receipt of the fit."""

    def drawing(self, source: EventLog, settings: SampleSettings, *, seed: int, most: int) -> Drawing:
        """Prepare draws for source events.

        Args:
            source: All events of some source items of the logs of the fit.
            settings: Draws per event, strategy, temperature and minimum support.
            seed: Any integer.
            most: Upper bound on `last - first` in `Drawing.draw`.
        """

    def probability(self, user: Codes, item: Codes) -> Floats:
        """Return P(item | user): the mean of P(item | user, source item) over the user's positive source events.

        It holds for temperature 1 and minimum support 1, over all source events of the logs of the fit. As in draws,
        the user's own paths are left out. A source event without any possible draw counts as 0, so the probabilities
        of a user sum to at most 1 over all items.

        Args:
            user: Shape (n,), codes.
            item: Shape (n,), codes of target items.

        Returns:
            Shape (n,), in [0, 1]; 0 where the item cannot be drawn or the user has no source event.
        """


class Translator(Protocol):
    """A recipe that fits a translation."""

    def __call__(self, pair: Pair | StoredPair, settings: TranslateSettings) -> Translation:
        """Fit on the positive events of `pair`."""
