"""Training rows of each arm of a study: synthetic events of a fold, and the controls derived from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scalr.evaluation import REFERENCE, ExtraReal, Fold, Strength, Trained, fading, get_model, train, train_rival
from scalr.foundation import DEFAULT_ARMS, RIVALS, Arm, Cache, ConfigError, Steps, unknown_name
from scalr.studies import controls
from scalr.synthesis import (
    SyntheticEvents,
    Translation,
    drop_real,
    fit,
    refine,
    sample,
    synthetic_weights,
    translator_names,
)

CACHED_TRANSLATIONS, CACHED_EVENTS = 4, 6  # cache sizes per fold during the search


class Synthesis:
    """Translations and synthetic events of a fold, computed on first use and cached; threads may share it.

    Args:
        fold: The fold whose visible logs are translated.
        seed: Seed of draws and controls.
        threads: Number of threads that draw; the events do not depend on it.
    """

    def __init__(self, fold: Fold, seed: int, *, threads: int = 1) -> None:
        self.fold, self.seed, self._threads = fold, seed, threads
        self._translations: Cache[Translation] = Cache(CACHED_TRANSLATIONS)
        self._events: Cache[SyntheticEvents] = Cache(CACHED_EVENTS)

    def scalr(self, steps: Steps) -> SyntheticEvents:
        """Return synthetic events: fit, sample and refine."""
        key = (steps.translate.digest(), steps.sample.digest(), steps.refine.digest())
        return self._events.get(key, lambda: self._draw(steps))

    def _draw(self, steps: Steps) -> SyntheticEvents:
        translation = self._translations.get(
            steps.translate.digest(), lambda: fit(self.fold.pair, settings=steps.translate)
        )
        return refine(sample(translation, steps.sample, seed=self.seed, threads=self._threads), steps.refine)

    def top1(self, steps: Steps) -> SyntheticEvents:
        """Draw the most probable item of each source event once; the total weight equals that of `scalr`."""
        settings = steps.sample.model_copy(update={"strategy": "topk", "draws_per_event": 1})
        events = self.scalr(steps.model_copy(update={"sample": settings}))
        total, total_of_top = float(self.scalr(steps).weight.sum()), float(events.weight.sum())
        scale = np.float32(total / total_of_top if total_of_top > 0 else 1.0)
        return replace(events, weight=events.weight * scale)

    def arm(self, arm: Arm, steps: Steps) -> tuple[SyntheticEvents | None, ExtraReal | None]:
        """Return the synthetic events and the extra real events that an arm trains on beside the real log."""
        if arm == "real_only":
            return None, None
        if arm == "scalr":
            return self.scalr(steps), None
        if arm == "top1":
            return self.top1(steps), None
        scalr = self.scalr(steps)
        if arm == "oversampled_real":
            real = fading(self.fold.pair.target, steps.train.half_life)
            user, item, weight = controls.oversampled_real(real, len(scalr), self.seed)
            total = synthetic_weights(scalr, real, steps.train).sum()
            scale = np.float32(total / max(float(weight.sum()), 1e-9))
            return None, ExtraReal(user, item, weight * scale)
        return drop_real(getattr(controls, arm)(scalr, self.seed)), None


@dataclass(frozen=True, slots=True, eq=False)
class TrainedArm:
    """An arm trained on one fold.

    Attributes:
        trained: The model and facts of its training.
        n_events: Number of synthetic training events.
    """

    trained: Trained
    n_events: int


def train_arm(
    synthesis: Synthesis, arm: Arm, steps: Steps, *, epochs: int | None = None, strength: Strength | None = None
) -> TrainedArm:
    """Train an arm on a fold.

    Args:
        synthesis: The fold, its seed and its synthetic events.
        arm: Name of the arm.
        steps: Settings of the arm.
        epochs: Number of epochs; None for early stopping on the judged pairs.
        strength: Settings that only this conventional method has; None uses its first candidate.
    """
    fold, seed = synthesis.fold, synthesis.seed
    if arm in RIVALS:
        return TrainedArm(train_rival(arm, fold, steps.train, seed, strength=strength, epochs=epochs), 0)
    events, extra = synthesis.arm(arm, steps)
    trained = train(fold, events, steps.train, seed, epochs=epochs, extra_real=extra)
    return TrainedArm(trained, 0 if events is None else len(events))


def check_model_and_translator(steps: Steps) -> None:
    """Refuse an unknown translator or model before reading or training.

    Raises:
        ConfigError: If no translator or model has the name.
    """
    if steps.translate.translator not in ("auto", *translator_names()):
        raise unknown_name("translator", steps.translate.translator, ("auto", *translator_names()))
    get_model(steps.train.model)


def arms_of(steps: Steps) -> tuple[Arm, ...]:
    """Return the arms of a study, `real_only` first.

    Conventional methods use the reference model. Beside another model, their comparison would also be a comparison of
    models, so the default arms omit them.

    Raises:
        ConfigError: If `study.arms` names conventional methods beside another model.
    """
    arms: tuple[Arm, ...] = tuple(dict.fromkeys(("real_only", *steps.study.arms)))
    methods = [arm for arm in arms if arm in RIVALS]
    if steps.train.model == REFERENCE or not methods:
        return arms
    if steps.study.arms != DEFAULT_ARMS:
        raise ConfigError(
            f"arm '{methods[0]}' is a conventional method, which exists for model '{REFERENCE}' only",
            expected=f"arms without {', '.join(RIVALS)} for model '{steps.train.model}'",
            fix=f"remove these arms, or use model '{REFERENCE}'",
        )
    return tuple(arm for arm in arms if arm not in methods)
