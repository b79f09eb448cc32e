"""Collective matrix factorisation: source and target are factorised together and share user factors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scalr.evaluation.cross_domain.domains import shared_users
from scalr.evaluation.cross_domain.protocol import Strength
from scalr.evaluation.folds import Fold
from scalr.evaluation.models import Model
from scalr.foundation import TrainSettings


@dataclass(frozen=True, slots=True)
class Collective:
    """A factorisation of both domains with shared user factors and separate intercepts, item biases and negatives.

    `weight` is the weight of the source loss. `penalty` multiplies the L2 penalty in the steps of source rows.

    References:
        Singh, Gordon 2008, Relational learning via collective matrix factorization.
    """

    strengths: tuple[Strength, ...] = tuple(
        {"weight": weight, "penalty": penalty}
        for weight, penalty in (
            (1.0, 1.0),
            (0.3, 1.0),
            (0.3, 0.2),
            (0.1, 0.2),
            (3.0, 1.0),
            (1.0, 0.2),
            (0.1, 1.0),
            (0.03, 0.2),
        )
    )
    reads_source: bool = True

    def epochs(self, fold: Fold, settings: TrainSettings, seed: int, strength: Strength) -> Iterator[Model]:
        """Yield a model after each epoch; see `Rival`. A weight of 0 gives the model of real events alone."""
        two_heads = settings.model_copy(update={"objective": "auxiliary", "synthetic_penalty": strength["penalty"]})
        return shared_users(fold, two_heads, seed, strength["weight"])
