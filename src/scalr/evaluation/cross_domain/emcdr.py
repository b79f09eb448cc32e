"""EMCDR: cold users get target factors from a linear map of their source factors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from scalr.evaluation.cross_domain.domains import alone, users_of
from scalr.evaluation.cross_domain.protocol import Strength
from scalr.evaluation.folds import Fold
from scalr.evaluation.models import Model
from scalr.evaluation.models.mf import fit_factorization
from scalr.evaluation.training import examples_of
from scalr.foundation import Singles, TrainSettings

SOURCE_EPOCHS = 10
"""Epochs over the source log; the number of target epochs is chosen on the validation fold."""


@dataclass(frozen=True, slots=True)
class MappedFactors:
    """Separate factorisations of both domains, and a ridge regression from source factors to target factors.

    The regression is fitted on users with events in both domains and applied to users without target events. Users with
    target events keep their target factors, so for them this is the reference model. `ridge` is the penalty as a share
    of the mean variance of source factors.

    References:
        Man et al. 2017, Cross-domain recommendation: an embedding and mapping approach.
    """

    strengths: tuple[Strength, ...] = tuple({"ridge": ridge} for ridge in (0.001, 0.01, 0.1, 1.0, 0.0001, 10.0))
    reads_source: bool = False

    def epochs(self, fold: Fold, settings: TrainSettings, seed: int, strength: Strength) -> Iterator[Model]:
        """Yield a model after each epoch; see `Rival`."""
        real = examples_of(fold, None, settings, seed)
        source = alone(fold.pair.source, real)
        if not len(source):
            yield from fit_factorization(real, settings, seed)
            return
        known = list(islice(fit_factorization(source, settings, seed), SOURCE_EPOCHS))[-1].user_factors
        n_users = len(real.user_keys)
        in_source, in_target = users_of(source.user, n_users), users_of(real.user, n_users)
        both, cold = in_source & in_target, in_source & ~in_target
        for model in fit_factorization(real, settings, seed):
            factors = model.user_factors.copy()
            if both.any():
                factors[cold] = mapped(known[both], factors[both], known[cold], strength["ridge"])
            yield replace(model, user_factors=factors)


def mapped(known: Singles, wanted: Singles, new: Singles, ridge: float) -> Singles:
    """Fit an affine map from `known` to `wanted` by ridge regression and apply it to `new`.

    Args:
        known: Shape (n, dimensions), inputs of the fit.
        wanted: Shape (n, dimensions), outputs of the fit.
        new: Shape (m, dimensions), inputs to map.
        ridge: Penalty on the map, at least 0, as a share of the mean variance of `known`.

    Returns:
        Shape (m, dimensions).
    """
    x, y = known.astype(np.float64), wanted.astype(np.float64)
    middle, average = x.mean(axis=0), y.mean(axis=0)
    x, y = x - middle, y - average
    # einsum has a fixed order of summation; in a linear algebra library it may depend on the number of threads.
    gram, moments = np.einsum("nd,ne->de", x, x), np.einsum("nd,ne->de", x, y)
    penalty = ridge * np.trace(gram) / len(gram) + np.finfo(np.float64).tiny
    law = np.linalg.lstsq(gram + penalty * np.eye(len(gram)), moments, rcond=None)[0]
    result: Singles = (average + np.einsum("nd,de->ne", new - middle, law)).astype(np.float32)
    return result
