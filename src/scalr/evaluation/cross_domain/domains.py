"""Both domains as the rows of one factorisation, source items as further items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from scalr.evaluation.folds import Fold
from scalr.evaluation.models import Examples, Model
from scalr.evaluation.models.mf import fit_factorization
from scalr.evaluation.training import examples_of, interactions
from scalr.foundation import Codes, TrainSettings
from scalr.logs import EventLog, catalogue_of


def both_domains(fold: Fold, settings: TrainSettings, seed: int, weight: float) -> Examples:
    """Return the fold's real rows and, as rows of the other kind, its source interactions.

    Negatives of either kind come from the items of its own domain, so that of both about one label in `negatives` + 1
    is 1. With a weight of 0 these are the rows of real events alone.

    Args:
        fold: Whose visible logs.
        settings: Half-life of the target's events.
        seed: Any integer.
        weight: Of every source interaction, beside its own.
    """
    real, source = examples_of(fold, None, settings, seed), fold.pair.source
    user, item, own = interactions(source)
    if weight <= 0 or not len(user):
        return real
    n_target = len(real.item_keys)
    return replace(
        real,
        user=np.concatenate([real.user, user]),
        item=np.concatenate([real.item, item + np.int32(n_target)]),
        weight=np.concatenate([real.weight, np.float32(weight) * own]),
        is_synthetic=np.repeat([False, True], [len(real), len(user)]),
        item_keys=np.concatenate([real.item_keys, source.items.keys]),
        synthetic_catalogue=catalogue_of(source) + np.int32(n_target),
        time=None,
    )


def shared_users(fold: Fold, settings: TrainSettings, seed: int, weight: float) -> Iterator[Model]:
    """Yield after each epoch the target half of a factorisation of both domains, whose users share their factors.

    Args:
        fold: Whose visible logs.
        settings: The objective tells whether the source has an intercept of its own (`auxiliary`) or not (`joint`).
        seed: Any integer.
        weight: Of every source interaction, beside its own.
    """
    n_target = len(fold.pair.target.items)
    for model in fit_factorization(both_domains(fold, settings, seed, weight), settings, seed):
        yield replace(model, item_factors=model.item_factors[:n_target], item_bias=model.item_bias[:n_target])


def alone(log: EventLog, target: Examples) -> Examples:
    """Return the rows of one domain as if it were the only one; what was seen stays what `target` says."""
    user, item, weight = interactions(log)
    return replace(
        target,
        user=user,
        item=item,
        weight=weight,
        is_synthetic=np.zeros(len(user), np.bool_),
        n_first=len(user),
        time=None,
        catalogue=catalogue_of(log),
        item_keys=log.items.keys,
    )


def users_of(codes: Codes, n_users: int) -> npt.NDArray[np.bool_]:
    """Say for each user, shape (n_users,), whether it is among the codes."""
    found = np.zeros(n_users, np.bool_)
    found[codes] = True
    return found
