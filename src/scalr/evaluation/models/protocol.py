"""What a downstream model gets, and what it must be able to do."""

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
    """Positive rows to learn from, negatives not yet drawn.

    Attributes:
        user: Shape (n,), codes of users.
        item: Shape (n,), codes of items.
        weight: Shape (n,), above 0.
        is_synthetic: Shape (n,); with the objective `auxiliary` these rows use the head that prediction drops.
        n_first: The first `n_first` rows are the fold's own real ones. What is random about them must not depend on
            the rows behind, so that arms of a study differ in nothing but their further rows.
        catalogue: Shape (n_catalogue,), codes of the items that negatives are drawn from, ascending.
        user_keys: Keys by user code; first parameters are hashes of them.
        item_keys: Keys by item code, likewise.
        fitted_until: Latest time of any event behind the rows; None without time.
        fitted_on: Digest of the target log that was visible (`EventLog.digest`).
        synthetic_catalogue: Shape (n,), items that negatives of synthetic rows are drawn from; as `catalogue` if None.
            Where it is given, it shares no item with `catalogue`, and rows of either kind have items of their own.
        time: Shape (n,), when each row happened: the latest event of a real interaction, the source event of a
            synthetic one. None without time.
        item_features: What the item table says about items, by item code.
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
    """A fitted model; it never changes."""

    @property
    def fitted_until(self) -> int | None:
        """Return the latest time of any event it saw; None without time."""

    @property
    def fitted_on(self) -> int | None:
        """Return the digest of the target log it was trained on (`EventLog.digest`); None where nobody knows."""

    def score(self, user: Codes, item: Codes) -> npt.NDArray[np.float64]:
        """Return P(label = 1) for each (user, item), shape (n,), where one label in `negatives` + 1 is 1."""

    def rank_scores(self, users: Codes) -> npt.NDArray[np.float32]:
        """Return a number per user and item, shape (n_users, all items), that rises with P(label = 1)."""


class Recipe(Protocol):
    """How a model is fitted: an endless iterator of models, one after each epoch over the examples.

    Whoever trains takes as many epochs as it wants and keeps the best model; so a model that was handed out must not
    change with the epochs that follow. The same examples, settings and seed give the same models.
    """

    def __call__(self, examples: Examples, settings: TrainSettings, seed: int) -> Iterator[Model]:
        """Start from parameters that depend on the seed and the keys alone, and yield after each epoch."""
