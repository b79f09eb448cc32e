"""What each arm of a study trains on: the synthetic events of a fold, and the controls made from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scalr.evaluation import REFERENCE, ExtraReal, Fold, fading, get_model
from scalr.foundation import DEFAULT_ARMS, RIVALS, Arm, ConfigError, Kept, Steps, unknown_name
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

KEPT_TRANSLATIONS, KEPT_EVENTS = 4, 6  # of a fold, while settings are tried


class Synthesis:
    """Translations and synthetic events of one fold, made when asked for and kept for a while; threads may share it.

    Args:
        fold: Whose visible logs are translated.
        seed: Fixes draws and controls.
        threads: Threads to draw with; they change nothing else.
    """

    def __init__(self, fold: Fold, seed: int, *, threads: int = 1) -> None:
        self.fold, self.seed, self._threads = fold, seed, threads
        self._translations: Kept[Translation] = Kept(KEPT_TRANSLATIONS)
        self._events: Kept[SyntheticEvents] = Kept(KEPT_EVENTS)

    def scalr(self, steps: Steps) -> SyntheticEvents:
        """Fit, sample and refine."""
        key = (steps.translate.digest(), steps.sample.digest(), steps.refine.digest())
        return self._events.get(key, lambda: self._made(steps))

    def _made(self, steps: Steps) -> SyntheticEvents:
        translation = self._translations.get(
            steps.translate.digest(), lambda: fit(self.fold.pair, settings=steps.translate)
        )
        return refine(sample(translation, steps.sample, seed=self.seed, threads=self._threads), steps.refine)

    def top1(self, steps: Steps) -> SyntheticEvents:
        """Give each source event its most probable item, once, at the total weight of `scalr`."""
        top = steps.sample.model_copy(update={"strategy": "topk", "draws_per_event": 1})
        events = self.scalr(steps.model_copy(update={"sample": top}))
        total, own = float(self.scalr(steps).weight.sum()), float(events.weight.sum())
        scale = np.float32(total / own if own > 0 else 1.0)
        return replace(events, weight=events.weight * scale)

    def arm(self, arm: Arm, steps: Steps) -> tuple[SyntheticEvents | None, ExtraReal | None]:
        """Return the synthetic and the further real events that an arm trains on beside the real ones."""
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


def check_names(steps: Steps) -> None:
    """Refuse a translator or model that does not exist, before anything is read or trained.

    Raises:
        ConfigError: If there is none of that name.
    """
    if steps.translate.translator not in ("auto", *translator_names()):
        raise unknown_name("translator", steps.translate.translator, ("auto", *translator_names()))
    get_model(steps.train.model)


def arms_of(steps: Steps) -> tuple[Arm, ...]:
    """Return the arms of a study, `real_only` first.

    Conventional methods are built on the reference model, so beside another one they would compare models too: the
    default arms then go without them.

    Raises:
        ConfigError: If such arms were asked for.
    """
    asked: tuple[Arm, ...] = tuple(dict.fromkeys(("real_only", *steps.study.arms)))
    rivals = [arm for arm in asked if arm in RIVALS]
    if steps.train.model == REFERENCE or not rivals:
        return asked
    if steps.study.arms != DEFAULT_ARMS:
        raise ConfigError(
            f"arm '{rivals[0]}' is a conventional method, which is there for model '{REFERENCE}' only",
            expected=f"arms without {', '.join(RIVALS)} for model '{steps.train.model}'",
            fix=f"leave these arms out, or use model '{REFERENCE}'",
        )
    return tuple(arm for arm in asked if arm not in rivals)
