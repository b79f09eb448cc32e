"""Training weights of synthetic events: λ, shrinkage by a user's real events, thinning."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scalr.foundation import Floats, Keys, Singles, TrainSettings, rng
from scalr.logs import EventLog
from scalr.synthesis.events import SyntheticEvents


def synthetic_weights(synthetic: SyntheticEvents, target: EventLog, settings: TrainSettings) -> Floats:
    """Return λ · event weight · κ / (κ + real target events of the user), shape (n,), at least 0.

    Args:
        synthetic: The events to weigh.
        target: Real events of the training period.
        settings: λ and κ.
    """
    history = np.bincount(target.positives().user, minlength=len(target.users))
    return shrunk_weights(synthetic.weight, history[synthetic.user], settings)


def shrunk_weights(weight: Singles, history: npt.NDArray[np.int64], settings: TrainSettings) -> Floats:
    """Return λ · weight · κ / (κ + history), shape (n,), at least 0.

    Args:
        weight: Shape (n,), weights of synthetic events, at least 0.
        history: Shape (n,), real target events of each event's user.
        settings: λ and κ.
    """
    weights = settings.synthetic_weight * weight.astype(np.float64)
    if settings.shrinkage is not None:
        weights *= settings.shrinkage / (settings.shrinkage + history)
    return weights


def kept_by_chance(weight: Floats, keys: Keys, seed: int) -> npt.NDArray[np.bool_]:
    """Keep each synthetic event with its weight (at most 1) as probability; return a mask, shape (n,).

    The expected weight does not change. This is for models without sample weights.

    Args:
        weight: Shape (n,), at least 0.
        keys: Shape (n,), keys of the events.
        seed: Any integer.
    """
    kept: npt.NDArray[np.bool_] = rng.keyed_units(seed, rng.Purpose.THIN, keys) < weight
    return kept
