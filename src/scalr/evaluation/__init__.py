"""One fold: cut the logs, train a model, judge it.

    calibration    prior shift and isotonic regression of predicted probabilities
    cross_domain/  conventional cross-domain methods, trained without synthetic events
    folds          `split`: what may be fitted and what is judged
    judging        `evaluate`: metrics of a model, by segment
    kernels/       compiled loops of models and metrics
    metrics/       formulas: predictive, ranking, translation, comparison of arms
    models/        downstream models by name; one protocol
    periods        where the periods of a split begin: one instant, one per user, or by chance
    training       `train`: weighted objectives with early stopping

Public names are listed in `__init__.pyi` and imported on first use.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
