"""Pooled training: a single model on the events of both domains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scalr.evaluation.cross_domain.domains import shared_users
from scalr.evaluation.cross_domain.protocol import Strength
from scalr.evaluation.folds import Fold
from scalr.evaluation.models import Model
from scalr.foundation import TrainSettings


@dataclass(frozen=True, slots=True)
class Pooled:
    """A factorisation of both domains with a single intercept and the full penalty for all rows.

    `weight` is the weight of a source interaction; with 1, both domains have equal weight.
    """

    strengths: tuple[Strength, ...] = tuple({"weight": weight} for weight in (1.0, 0.3, 0.1, 0.03, 3.0, 0.01))
    reads_source: bool = True

    def epochs(self, fold: Fold, settings: TrainSettings, seed: int, strength: Strength) -> Iterator[Model]:
        """Yield a model after each epoch; see `Rival`."""
        one_head = settings.model_copy(update={"objective": "joint", "synthetic_penalty": 1.0})
        return shared_users(fold, one_head, seed, strength["weight"])
