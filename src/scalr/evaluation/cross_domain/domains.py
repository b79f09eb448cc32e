"""Training rows of both domains for a single factorisation; source items follow the target items."""

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
    """Return the real rows of the fold and its source interactions; the latter are marked as synthetic rows.

    The negatives of a row come from the items of its domain, so both domains have the base rate 1 / (`negatives` + 1).
    With a weight of 0, only the rows of real events are returned.

    Args:
        fold: Fold with the training logs.
        settings: Half-life of the target events.
        seed: Any integer.
        weight: Factor for the weights of all source interactions.
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
    """Factorise both domains with shared user factors; after each epoch, yield the model for target items.

    Args:
        fold: Fold with the training logs.
        settings: With the objective `auxiliary` the source has a separate intercept, with `joint` it has not.
        seed: Any integer.
        weight: Factor for the weights of all source interactions.
    """
    n_target = len(fold.pair.target.items)
    for model in fit_factorization(both_domains(fold, settings, seed, weight), settings, seed):
        yield replace(model, item_factors=model.item_factors[:n_target], item_bias=model.item_bias[:n_target])


def alone(log: EventLog, target: Examples) -> Examples:
    """Return the training rows of a single domain.

    Args:
        log: Events of the domain.
        target: Rows of the target domain; `fitted_until`, `fitted_on` and the user keys are copied from them.
    """
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
    """Return whether each user occurs in `codes`, shape (n_users,)."""
    found = np.zeros(n_users, np.bool_)
    found[codes] = True
    return found
