"""Training rows and protocols of downstream models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from scalr.evaluation.models.features import ItemFeatures
from scalr.foundation import Codes, Keys, Times, TrainSettings


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Positive training rows; recipes draw the negatives.

    Attributes:
        user: Shape (n,), user codes.
        item: Shape (n,), item codes.
        weight: Shape (n,), above 0.
        is_synthetic: Shape (n,), whether a row is synthetic. With the objective `auxiliary`, synthetic rows use a
            second head, which is not used at prediction.
        n_first: The first `n_first` rows are the real rows of the fold. Their random draws must not depend on the rows
            that follow, so that arms of a study differ only in these additional rows.
        catalogue: Shape (n_catalogue,), codes of the items that negatives are drawn from, ascending.
        user_keys: Shape (n_users,), keys by user code; initial parameters are hashes of the keys.
        item_keys: Shape (n_items,), keys by item code; initial parameters are hashes of the keys.
        fitted_until: Latest time of the events behind the rows; None without time.
        fitted_on: Digest of the visible target log (`EventLog.digest`).
        synthetic_catalogue: Codes of the items that negatives of synthetic rows are drawn from; `catalogue` if None.
            If set, it shares no item with `catalogue`, and real and synthetic rows have no item in common.
        time: Shape (n,), time of each row: the latest event of a real interaction, or the source event of a synthetic
            row. None without time.
        item_features: Columns of the item table, by item code.
    """

    user: Codes
    item: Codes
    weight: npt.NDArray[np.float32]
    is_synthetic: npt.NDArray[np.bool_]
    n_first: int
    catalogue: Codes
    user_keys: Keys
    item_keys: Keys
    fitted_until: int | None
    fitted_on: int
    synthetic_catalogue: Codes | None = None
    time: Times | None = None
    item_features: ItemFeatures = field(default_factory=ItemFeatures)

    def __len__(self) -> int:
        return len(self.user)


class Model(Protocol):
    """A fitted, immutable model."""

    @property
    def fitted_until(self) -> int | None:
        """Return the latest time of the training events; None without time."""

    @property
    def fitted_on(self) -> int | None:
        """Return the digest of the target log that it was trained on (`EventLog.digest`); None if unknown."""

    def score(self, user: Codes, item: Codes) -> npt.NDArray[np.float64]:
        """Return P(label = 1) for each (user, item), shape (n,), at a base rate of 1 / (`negatives` + 1)."""

    def rank_scores(self, users: Codes) -> npt.NDArray[np.float32]:
        """Return a score per user and item, shape (n_users, all items), that increases with P(label = 1)."""


class Recipe(Protocol):
    """Fits a model: an endless iterator that yields a model after each epoch over the examples.

    The caller decides on the number of epochs and may use any of the yielded models, so later epochs must not change a
    model that was already yielded. The same examples, settings and seed give the same models.
    """

    def __call__(self, examples: Examples, settings: TrainSettings, seed: int) -> Iterator[Model]:
        """Yield a model after each epoch; initial parameters depend only on the seed and the keys.

        Args:
            examples: Training rows.
            settings: Objective, hyper-parameters and number of negatives.
            seed: Any integer.
        """
