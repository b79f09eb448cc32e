"""Conventional methods of cross-domain recommendation: baselines that use the source log without synthetic events.

All methods share one protocol and one contract test. To add a method, write a module here, add a line to `_RIVALS` and
add the name to `config.Rival`.
"""

from __future__ import annotations

from scalr.evaluation.cross_domain.collective import Collective
from scalr.evaluation.cross_domain.distillation import Distillation
from scalr.evaluation.cross_domain.emcdr import MappedFactors
from scalr.evaluation.cross_domain.item_knn import ItemNeighbours
from scalr.evaluation.cross_domain.pooled import Pooled
from scalr.evaluation.cross_domain.protocol import Rival, Strength
from scalr.evaluation.folds import Fold
from scalr.evaluation.models import settled
from scalr.evaluation.training import Trained, run_epochs
from scalr.foundation import RIVALS, Stopwatch, TrainSettings, unknown_name

__all__ = ["Rival", "Strength", "get_rival", "rival_names", "train_rival"]

_RIVALS: dict[str, Rival] = {
    "distillation": Distillation(),
    "collective": Collective(),
    "emcdr": MappedFactors(),
    "pooled": Pooled(),
    "item_knn": ItemNeighbours(),
}


def rival_names() -> tuple[str, ...]:
    """Return the names that `get_rival` accepts."""
    return tuple(_RIVALS)


def get_rival(name: str) -> Rival:
    """Return the method called `name`.

    Raises:
        ConfigError: If no method has that name.
    """
    if name not in _RIVALS:
        raise unknown_name("conventional method", name, RIVALS)
    return _RIVALS[name]


def train_rival(
    name: str,
    fold: Fold,
    settings: TrainSettings | None = None,
    seed: int = 0,
    *,
    strength: Strength | None = None,
    epochs: int | None = None,
) -> Trained:
    """Fit a conventional method to the training logs of a fold.

    Args:
        name: Name of the method.
        fold: The validation fold to choose the number of epochs, or the test fold with `epochs` given.
        settings: Training settings that all arms share; defaults if None.
        seed: See `Rival.epochs`.
        strength: Settings of the method; the first of `Rival.strengths` if None.
        epochs: Exact number of epochs, for which the judged pairs are not read; None means early stopping, see
            `scalr.train`.

    Raises:
        LeakError: If the logs of the fold contain events of the judged period.
        SchemaError: If the fold has no training rows, or no judged pairs for early stopping.
        ConfigError: If no method has that name, `epochs` is below 1 or training diverges.
    """
    rival, settings = get_rival(name), settled(settings or TrainSettings())
    strength = rival.strengths[0] if strength is None else strength
    is_long = rival.reads_source and len(fold.pair.source) > len(fold.pair.target)
    with Stopwatch() as watch:
        models = rival.epochs(fold, settings, seed, strength)
        model, n_epochs, losses = run_epochs(models, fold, settings, seed, epochs=epochs, is_long=is_long)
    n_rows = len(fold.pair.target) + len(fold.pair.source)
    receipt = watch.receipt(name, n_rows, n_rows, epochs=n_epochs, **strength)
    return Trained(model, n_epochs, losses, receipt, strength)
