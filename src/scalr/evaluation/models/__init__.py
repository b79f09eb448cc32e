"""Downstream models: recipes that learn P(label = 1 | user, item) from real and synthetic events.

All models share one protocol and one contract test. To add a model, write a module here and add a line to `_KINDS`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from scalr.evaluation.models import als, deep, mf, trees
from scalr.evaluation.models.protocol import Examples, Model, Recipe
from scalr.foundation import ConfigError, TrainSettings, require_extra, unknown_name

__all__ = [
    "REFERENCE",
    "Examples",
    "Model",
    "ModelKind",
    "Recipe",
    "get_model",
    "model_names",
    "settled",
    "share_cores",
]

REFERENCE = "mf"


@dataclass(frozen=True, slots=True)
class ModelKind:
    """Description and defaults of a model.

    Attributes:
        recipe: Function that fits the model.
        title: Short description.
        learning_rate: Default step size.
        l2: Default L2 penalty.
        max_epochs: Default maximum number of epochs.
        patience: Default number of epochs without a better validation loss before training stops.
        extra: Extra with the optional dependencies of the model; None if it needs none.
        tuned: Training settings that affect the model and that a study may tune on real events alone.
        ranks_pairwise: Whether ranking scores every (user, item) pair separately, which is slow for a whole catalogue.
        losses: Names of the supported training losses (`train.loss`), the default first; empty if the model has a
            single loss without a name.
    """

    recipe: Recipe
    title: str
    learning_rate: float
    l2: float
    max_epochs: int = 100
    patience: int = 16
    extra: str | None = None
    tuned: tuple[str, ...] = ("learning_rate", "l2", "popularity_prior", "half_life")
    ranks_pairwise: bool = False
    losses: tuple[str, ...] = ("binary",)


_KINDS: dict[str, ModelKind] = {
    REFERENCE: ModelKind(
        mf.fit_factorization,
        "logistic matrix factorisation, the reference",
        learning_rate=mf.LEARNING_RATE,
        l2=mf.L2,
    ),
    "lightgbm": ModelKind(
        trees.fit_trees,
        "boosted trees over columns of user and item",
        learning_rate=trees.LEARNING_RATE,
        l2=trees.L2,
        max_epochs=trees.MAX_EPOCHS,
        patience=trees.PATIENCE,
        extra="models",
        ranks_pairwise=True,
    ),
    "implicit_als": ModelKind(
        als.fit_als,
        "alternating least squares on confidences, with a calibrated link",
        learning_rate=als.LEARNING_RATE,
        l2=als.L2,
        max_epochs=als.MAX_EPOCHS,
        patience=als.PATIENCE,
        extra="models",
        tuned=("l2", "half_life"),
        losses=(),
    ),
    **{
        name: ModelKind(
            network,
            network.title,
            learning_rate=network.learning_rate,
            l2=network.l2,
            max_epochs=20,
            patience=3,
            extra=deep.EXTRA,
            ranks_pairwise=network.ranks_pairwise,
            losses=network.losses,
        )
        for name, network in deep.NETWORKS.items()
    },
}


def model_names() -> tuple[str, ...]:
    """Return the names that `get_model` accepts."""
    return tuple(_KINDS)


def get_model(name: str) -> ModelKind:
    """Return the description of the model called `name`.

    Raises:
        ConfigError: If no model has that name.
    """
    if name not in _KINDS:
        raise unknown_name("model", name, _KINDS)
    return _KINDS[name]


def share_cores(name: str, trainings: int) -> None:
    """Limit the threads of a PyTorch model to its share of the cores.

    Args:
        name: Name of the model; models without PyTorch are not affected.
        trainings: Number of trainings that run at the same time, at least 1.

    Raises:
        ConfigError: If no model has that name.
        MissingExtraError: If the model needs PyTorch and it is not installed.
    """
    if get_model(name).extra == deep.EXTRA:
        torch = require_extra("torch", deep.EXTRA)
        torch.set_num_threads(max((os.cpu_count() or 1) // trainings, 1))


def settled(settings: TrainSettings) -> TrainSettings:
    """Return the settings with the defaults of the model for all values that are None.

    Raises:
        ConfigError: If no model has that name, or the model does not support `loss` or `checkpoints`.
    """
    kind = get_model(settings.model)
    deep.check_loss(settings.model, settings.loss, kind.losses)
    if settings.checkpoints is not None and kind.extra != deep.EXTRA:
        raise ConfigError(
            f"model '{settings.model}' keeps no checkpoints, but train.checkpoints is '{settings.checkpoints}'",
            expected=f"a model with checkpoints: one of {', '.join(deep.NETWORKS)}",
            fix="remove train.checkpoints (omit --checkpoints), or choose one of these models",
        )
    return settings.model_copy(
        update={
            "learning_rate": kind.learning_rate if settings.learning_rate is None else settings.learning_rate,
            "l2": kind.l2 if settings.l2 is None else settings.l2,
            "max_epochs": kind.max_epochs if settings.max_epochs is None else settings.max_epochs,
            "patience": kind.patience if settings.patience is None else settings.patience,
        }
    )
