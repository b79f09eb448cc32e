"""Pooled training: the events of both domains as one log."""

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
    """One factorisation with one head: one intercept, and the full penalty for every row.

    `weight` is that of a source interaction; 1 makes both domains equal.
    """

    strengths: tuple[Strength, ...] = tuple({"weight": weight} for weight in (1.0, 0.3, 0.1, 0.03, 3.0, 0.01))
    reads_source: bool = True

    def epochs(self, fold: Fold, settings: TrainSettings, seed: int, strength: Strength) -> Iterator[Model]:
        """Yield a model after each epoch; see `Rival`."""
        one_head = settings.model_copy(update={"objective": "joint", "synthetic_penalty": 1.0})
        return shared_users(fold, one_head, seed, strength["weight"])
