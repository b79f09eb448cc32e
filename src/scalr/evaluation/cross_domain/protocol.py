"""What a conventional method of cross-domain recommendation must be able to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from scalr.evaluation.folds import Fold
from scalr.evaluation.models import Model
from scalr.foundation import TrainSettings

Strength = Mapping[str, float]
"""A method's own settings by name; everything else comes from the settings of training."""


class Rival(Protocol):
    """One method: what it tries, and how it is fitted."""

    @property
    def strengths(self) -> tuple[Strength, ...]:
        """Return the strengths to try, the best guess first."""

    @property
    def reads_source(self) -> bool:
        """Return whether an epoch goes over the source log's rows as well."""

    def epochs(self, fold: Fold, settings: TrainSettings, seed: int, strength: Strength) -> Iterator[Model]:
        """Yield a model after each epoch; a model that was handed out never changes.

        Nothing but `fold.pair` is looked at, never the judged pairs or the hidden events in `fold.seen`. The same
        arguments give the same models.

        Args:
            fold: Its visible logs are fitted.
            settings: Dimensions, penalty, step size, popularity prior, half-life and negatives.
            seed: First parameters, order and negatives, as for every other arm.
            strength: One of `strengths`, or others with the same names.

        Raises:
            LeakError: If the fold's logs saw the judged period.
            SchemaError: If the target log has nothing to learn from.
        """
