"""Conventional methods of cross-domain recommendation: what else could be done with the source log.

One protocol, one contract test; a new method is a module here, a line in `_RIVALS` and a name in `config.Rival`.
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
    """Return the names that `get_rival` takes."""
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
    """Fit a conventional method to a fold's visible logs.

    Args:
        name: Name of the method.
        fold: The validation fold to choose the number of epochs, or the test fold with `epochs` given.
        settings: What all arms share; defaults if None.
        seed: See `Rival.epochs`.
        strength: The method's own settings; the first that it would try if None.
        epochs: Exactly this many epochs, without a look at the judged pairs; None stops early, see `scalr.train`.

    Raises:
        LeakError: If the fold's logs saw the judged period.
        SchemaError: If there is nothing to learn from or to validate on.
        ConfigError: If no method has that name, or training diverges.
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
