"""Protocol of conventional cross-domain methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from scalr.evaluation.folds import Fold
from scalr.evaluation.models import Model
from scalr.foundation import TrainSettings

Strength = Mapping[str, float]
"""Settings of a method by name; all other settings come from `TrainSettings`."""


class Rival(Protocol):
    """A conventional method with the settings to try."""

    @property
    def strengths(self) -> tuple[Strength, ...]:
        """Return the settings to try, the default first."""

    @property
    def reads_source(self) -> bool:
        """Return whether an epoch also visits the rows of the source log."""

    def epochs(self, fold: Fold, settings: TrainSettings, seed: int, strength: Strength) -> Iterator[Model]:
        """Yield a model after each epoch; a yielded model never changes.

        Only `fold.pair` is read, never the judged pairs or the hidden events in `fold.seen`. The same arguments give
        the same models.

        Args:
            fold: Fold with the training logs (`fold.pair`).
            settings: Dimensions, penalty, step size, popularity prior, half-life and negatives.
            seed: Determines initial parameters, order and negatives, as in all other arms.
            strength: One of `strengths`, or other values for the same names.

        Raises:
            LeakError: If the logs of the fold contain events of the judged period.
            SchemaError: If the target log has no positive event of weight above 0.
        """
