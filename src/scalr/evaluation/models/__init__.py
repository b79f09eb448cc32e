"""Downstream models: recipes that learn P(label = 1 | user, item) from real and synthetic events.

One protocol, one contract test; a new model is a module here and a line in `_KINDS`.
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
    """What there is to know about a model before it is fitted.

    Attributes:
        recipe: How it is fitted.
        title: What it is, in a few words.
        learning_rate: Its own step size.
        l2: Its own penalty.
        max_epochs: Its own most epochs.
        patience: Its own epochs without a better validation loss before it stops.
        extra: The optional dependencies that it needs; None for none.
        tuned: Training settings that matter to it and that a study may choose on real events alone.
        ranks_pairwise: Whether it ranks by scoring pair after pair, which takes long for a whole catalogue.
        losses: What it can be trained by (`train.loss`), its own first; empty where that has no name.
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
    """Return the names that `get_model` takes."""
    return tuple(_KINDS)


def get_model(name: str) -> ModelKind:
    """Return what is known about the model called `name`.

    Raises:
        ConfigError: If no model has that name.
    """
    if name not in _KINDS:
        raise unknown_name("model", name, _KINDS)
    return _KINDS[name]


def share_cores(name: str, trainings: int) -> None:
    """Let each of so many trainings at a time have its share of the cores, where the model's library takes them all."""
    if get_model(name).extra == deep.EXTRA:
        torch = require_extra("torch", deep.EXTRA)
        torch.set_num_threads(max((os.cpu_count() or 1) // trainings, 1))


def settled(settings: TrainSettings) -> TrainSettings:
    """Return the settings with the model's own values where nothing was asked for.

    Raises:
        ConfigError: If no model has that name, it cannot be trained by the loss asked for, or checkpoints are asked for
            of a model that keeps none.
    """
    kind = get_model(settings.model)
    deep.check_loss(settings.model, settings.loss, kind.losses)
    if settings.checkpoints is not None and kind.extra != deep.EXTRA:
        raise ConfigError(
            f"model '{settings.model}' keeps no checkpoints, but train.checkpoints is '{settings.checkpoints}'",
            expected=f"one of {', '.join(deep.NETWORKS)} where checkpoints are kept",
            fix="leave train.checkpoints (--checkpoints) out, or take one of these models",
        )
    return settings.model_copy(
        update={
            "learning_rate": kind.learning_rate if settings.learning_rate is None else settings.learning_rate,
            "l2": kind.l2 if settings.l2 is None else settings.l2,
            "max_epochs": kind.max_epochs if settings.max_epochs is None else settings.max_epochs,
            "patience": kind.patience if settings.patience is None else settings.patience,
        }
    )
