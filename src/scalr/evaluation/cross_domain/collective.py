"""Collective matrix factorisation: source and target factorised at once, with the same user factors."""

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
    """Users share their factors; intercept, item biases and negatives belong to each domain.

    `weight` is that of the source's loss, `penalty` the share of the penalty that its rows bring along.

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
        """Yield a model after each epoch; see `Rival`. A weight of 0 gives what real events alone give."""
        two_heads = settings.model_copy(update={"objective": "auxiliary", "synthetic_penalty": strength["penalty"]})
        return shared_users(fold, two_heads, seed, strength["weight"])
