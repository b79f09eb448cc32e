"""Train a downstream model on the real events of a fold and on weighted synthetic events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from scalr.evaluation.folds import Fold
from scalr.evaluation.metrics.predictive import labelled_rows, normalized_entropy
from scalr.evaluation.models import Examples, Model, get_model, settled
from scalr.evaluation.models.features import item_features
from scalr.foundation import (
    Codes,
    ConfigError,
    DivergenceError,
    Receipt,
    SchemaError,
    Singles,
    Stopwatch,
    Times,
    TrainSettings,
)
from scalr.logs import EventLog, Vocabulary, catalogue_of
from scalr.synthesis import SyntheticEvents, kept_by_chance, synthetic_weights

LONG_EPOCH = 2  # ratio of all rows to real rows; above it early stopping uses half of the patience
Rows = tuple[Codes, Codes, Singles]
"""User codes, item codes and weights, shape (n,) each."""


@dataclass(frozen=True, slots=True, eq=False)
class ExtraReal:
    """Additional real training rows of a control arm.

    Attributes:
        user: Shape (n,), user codes.
        item: Shape (n,), item codes.
        weight: Shape (n,), at least 0.
    """

    user: Codes
    item: Codes
    weight: Singles


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained model.

    Attributes:
        model: The model after the best epoch, or after the last epoch if the number of epochs was given.
        epochs: Number of epochs that `model` was trained for, at least 1.
        validation_losses: Normalized entropy on the judged pairs after each epoch; empty if `epochs` was given.
        receipt: Rows, seconds, epochs.
        strength: Settings of a conventional method; empty otherwise.
    """

    model: Model
    epochs: int
    validation_losses: tuple[float, ...]
    receipt: Receipt
    strength: Mapping[str, float] = field(default_factory=dict)


def train(
    fold: Fold,
    synthetic: SyntheticEvents | None = None,
    settings: TrainSettings | None = None,
    seed: int = 0,
    *,
    epochs: int | None = None,
    extra_real: ExtraReal | None = None,
    progress: Callable[[int, float | None], None] | None = None,
) -> Trained:
    """Fit a model to the positives of a fold and to weighted synthetic events.

    Real rows are the fold's distinct interactions, like the judged pairs: a repeated interaction is one row with the
    largest of its weights, and `half_life` makes weights decay with age. Labels of 0 are not used: the negatives of
    every row are uniform draws from the catalogue. A synthetic row has the weight λ · event weight · κ / (κ + real
    target events of its user). Rows of weight 0 are removed before any random draw, so λ = 0 gives the same bits as
    training without synthetic events.

    Args:
        fold: The validation fold to choose the number of epochs, or the test fold with `epochs` given.
        synthetic: Events to add, drawn from a translation fitted on this fold; None for real events alone.
        settings: Model, objective, λ, κ and the settings of the model; defaults if None.
        seed: Determines initial parameters, order and negatives; arms with the same seed share them.
        epochs: Exact number of epochs. None means early stopping: training stops when the normalized entropy of the
            judged pairs has not improved for `patience` epochs (half as many if synthetic rows outnumber real ones),
            and the best epoch is kept. Use None on the validation fold only, since it reads the judged pairs.
        extra_real: Additional real rows (a control). They use the head of real rows with every objective.
        progress: Called after each epoch with the number of epochs and the validation loss, if there is one.

    Raises:
        LeakError: If the logs of the fold or the synthetic events contain events of the judged period.
        SchemaError: If the fold has no training rows or no judged pairs, or the synthetic events belong to other logs.
        ConfigError: If no model has that name, `epochs` is below 1 or training diverges.
    """
    settings = settled(settings or TrainSettings())
    recipe = get_model(settings.model).recipe
    with Stopwatch() as watch:
        examples = examples_of(fold, synthetic, settings, seed, extra_real=extra_real)
        models = recipe(examples, settings, seed)
        is_long = len(examples) > LONG_EPOCH * examples.n_first
        model, n_epochs, losses = run_epochs(
            models, fold, settings, seed, epochs=epochs, is_long=is_long, progress=progress
        )
    receipt = watch.receipt(
        "train",
        len(fold.pair.target) + (0 if synthetic is None else len(synthetic)),
        len(examples),
        epochs=n_epochs,
        real_rows=examples.n_first,
        synthetic_rows=int(examples.is_synthetic.sum()),
        synthetic_weight=round(float(examples.weight[examples.is_synthetic].sum(dtype=np.float64)), 3),
    )
    return Trained(model, n_epochs, losses, receipt)


def run_epochs(
    models: Iterator[Model],
    fold: Fold,
    settings: TrainSettings,
    seed: int,
    *,
    epochs: int | None,
    is_long: bool = False,
    progress: Callable[[int, float | None], None] | None = None,
) -> tuple[Model, int, tuple[float, ...]]:
    """Train until early stopping, or for exactly `epochs` epochs.

    Args:
        models: The model after each epoch; it may end, but not before `epochs`.
        fold: Its judged pairs give the validation loss; they are not read if `epochs` is given.
        settings: Negatives, patience and the maximum number of epochs.
        seed: Determines the judged negatives.
        epochs: Exact number of epochs, or None for early stopping; see `train`.
        is_long: Whether an epoch has more than `LONG_EPOCH` times the real rows. Such an epoch takes more steps and
            costs more, so half of the patience is enough.
        progress: See `train`.

    Returns:
        The model after the best or the last epoch; the number of that epoch, from 1; the losses of all epochs.

    Raises:
        SchemaError: If `epochs` is None and the fold has no judged pairs.
        ConfigError: If `epochs` is below 1 or training diverges.
    """
    if epochs is None:
        return _best(models, fold, settings, seed, is_long, progress)
    if epochs < 1:
        raise ConfigError(f"epochs is {epochs}", expected="at least 1, or None for early stopping", fix="pass epochs=1")
    return _last(models, epochs, progress), epochs, ()


def examples_of(
    fold: Fold,
    synthetic: SyntheticEvents | None,
    settings: TrainSettings,
    seed: int = 0,
    *,
    extra_real: ExtraReal | None = None,
) -> Examples:
    """Return the weighted training rows: first real, then additional real, then synthetic rows.

    See `train` for the arguments and errors; the settings of the model are not used.
    """
    target = fold.pair.target
    fold.guard(fold.pair.target.last_time(), "the target log")
    fold.guard(fold.pair.source.last_time(), "the source log")
    real = interactions(target, settings.half_life)
    if not len(real[0]):
        raise SchemaError(
            f"the target log of the {fold.name} fold has no positive event of weight above 0",
            expected="at least one real event to learn from",
            fix="change --test-share, --test-from or --hide-overlap so that some remain",
        )
    added = [] if extra_real is None else [_above_zero(extra_real.user, extra_real.item, extra_real.weight)]
    n_synthetic, fitted_until = 0, _latest(fold.pair.source, target)
    drawn_at: Times | None = np.empty(0, np.int64)
    if synthetic is not None:
        _refuse_other_logs(fold, synthetic)
        fold.guard(synthetic.fitted_until, "the translation of the synthetic events")
        fold.guard(_source_times_until(synthetic), "the synthetic events")
        weight_of = _training_weights(synthetic, target, settings, seed)
        drawn_at = _source_times(synthetic, weight_of > 0)
        added.append(_above_zero(synthetic.user, synthetic.item, weight_of))
        n_synthetic = len(added[-1][0])
    user, item, weight = (np.concatenate(columns) for columns in zip(real, *added, strict=True))
    n_real, time = len(user) - n_synthetic, None
    if target.time is not None and drawn_at is not None:
        time = np.concatenate([_latest_times(target.positives(), user[:n_real], item[:n_real]), drawn_at])
    is_synthetic = np.zeros(len(user), np.bool_)
    is_synthetic[n_real:] = True
    return Examples(
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        weight=weight.astype(np.float32),
        is_synthetic=is_synthetic,
        n_first=len(real[0]),
        catalogue=catalogue_of(target),
        user_keys=target.users.keys,
        item_keys=target.items.keys,
        fitted_until=fitted_until,
        fitted_on=target.digest(),
        time=time,
        item_features=item_features(fold.pair),
    )


def _training_weights(synthetic: SyntheticEvents, target: EventLog, settings: TrainSettings, seed: int) -> Singles:
    weight = synthetic_weights(synthetic, target, settings)
    if settings.objective == "thinned":
        weight = kept_by_chance(weight, synthetic.keys(), seed).astype(np.float64)
    return weight.astype(np.float32)


def interactions(log: EventLog, half_life: float | None = None) -> Rows:
    """Return the distinct (user, item) pairs of the positives, sorted, each with the largest weight of its events.

    Args:
        log: Events; pairs of weight 0 are dropped.
        half_life: Age at which the weight of an event is halved, as a share of the time span of the log; None for no
            decay.
    """
    log, n_items = fading(log, half_life).positives(), len(log.items)
    cell = log.user.astype(np.int64) * n_items + log.item
    order = np.argsort(cell, kind="stable")
    distinct, start = np.unique(cell[order], return_index=True)
    weight = np.ones(len(distinct), np.float32)
    if log.weight is not None and len(distinct):
        weight = np.maximum.reduceat(log.weight[order], start)
    return _above_zero((distinct // n_items).astype(np.int32), (distinct % n_items).astype(np.int32), weight)


def fading(log: EventLog, half_life: float | None) -> EventLog:
    """Multiply the weights of events by a decay that halves with each `half_life` of age and has mean 1.

    A log without time, or a `half_life` of None, is returned unchanged.
    """
    if half_life is None or log.time is None or not len(log):
        return log
    age = (int(log.time.max()) - log.time) / max(int(log.time.max()) - int(log.time.min()), 1)
    fresh = 0.5 ** (age / half_life)
    fresh /= fresh.mean()
    return replace(log, weight=(fresh if log.weight is None else fresh * log.weight).astype(np.float32))


def _above_zero(user: Codes, item: Codes, weight: Singles) -> Rows:
    keep = weight > 0
    return user[keep], item[keep], weight[keep]


def _best(
    models: Iterator[Model],
    fold: Fold,
    settings: TrainSettings,
    seed: int,
    is_long: bool,
    progress: Callable[[int, float | None], None] | None,
) -> tuple[Model, int, tuple[float, ...]]:
    """Train with early stopping; return the model after the best epoch, its number (from 1) and all losses."""
    if not len(fold.user):
        raise SchemaError(
            f"the {fold.name} fold judges no pair, so training cannot stop early",
            expected="at least one new pair in the judged period",
            fix="set the number of epochs, or use a larger --test-share",
        )
    rows = labelled_rows(fold, settings.negatives, seed)
    losses: list[float] = []
    best, best_epoch = None, 0
    settings = settled(settings)
    assert settings.patience is not None  # settled
    patience = -(-settings.patience // 2) if is_long else settings.patience
    for model in islice(models, settings.max_epochs):
        probabilities = model.score(rows.user, rows.item)
        if not np.isfinite(probabilities).all():
            raise DivergenceError(
                f"model '{settings.model}' diverged in epoch {len(losses) + 1}: its predictions are not finite",
                expected="a learning rate and weights with which the loss decreases",
                fix=f"lower learning_rate ({settings.learning_rate}) or the event weights",
            )
        losses.append(normalized_entropy(rows.label, probabilities))
        if progress:
            progress(len(losses), losses[-1])
        if best is None or losses[-1] < losses[best_epoch - 1]:
            best, best_epoch = model, len(losses)
        if len(losses) - best_epoch >= patience:
            break
    if best is None:
        raise ValueError("max_epochs is below 1")
    return best, best_epoch, tuple(losses)


def _last(models: Iterator[Model], epochs: int, progress: Callable[[int, float | None], None] | None) -> Model:
    """Return the model after `epochs` epochs."""
    for done in range(1, epochs + 1):
        model = next(models)
        if progress:
            progress(done, None)
    return model


def _latest(*logs: EventLog) -> int | None:
    times = [time for log in logs if (time := log.last_time()) is not None]
    return max(times, default=None)


def _latest_times(log: EventLog, user: Codes, item: Codes) -> Times:
    """Return the time of the latest event of each (user, item), shape (n,)."""
    assert log.time is not None
    n_items = len(log.items)
    cell = log.user.astype(np.int64) * n_items + log.item
    order = np.lexsort((log.time, cell))
    last = np.searchsorted(cell[order], user.astype(np.int64) * n_items + item, side="right") - 1
    times: Times = log.time[order][last]
    return times


def _source_times(synthetic: SyntheticEvents, keep: npt.NDArray[np.bool_]) -> Times | None:
    """Return the times of the source events of the synthetic rows in `keep`; None without time."""
    times = synthetic.pair.source.time
    return None if times is None else times[synthetic.source_row[keep]]


def _source_times_until(synthetic: SyntheticEvents) -> int | None:
    """Return the latest time of the source events behind the synthetic events; None without time or events."""
    times = synthetic.pair.source.time
    return None if times is None or not len(synthetic) else int(times[synthetic.source_row].max())


def _refuse_other_logs(fold: Fold, synthetic: SyntheticEvents) -> None:
    ours, theirs = fold.pair.target, synthetic.pair.target
    for kind, own, other in (("users", ours.users, theirs.users), ("items", ours.items, theirs.items)):
        if not _same_ids(own, other):
            raise SchemaError(
                f"the synthetic events were drawn for {len(other)} target {kind} that are not the fold's {len(own)}",
                expected="synthetic events of the training logs",
                fix="fit and sample on the logs of this fold (`fold.pair`)",
            )
    fold.guard_log(theirs.digest() if theirs is not ours else None, "the translation of the synthetic events")


def _same_ids(own: Vocabulary, other: Vocabulary) -> bool:
    return own is other or np.array_equal(own.keys, other.keys)
