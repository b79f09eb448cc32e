"""Compare ways to train over several seeds: what the synthetic events are worth, and what of it is transfer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from scalr import controls
from scalr.config import Arm, Steps
from scalr.domain import Pair
from scalr.evaluate import Evaluation, evaluate
from scalr.metrics.comparison import compare_arms
from scalr.refine import drop_real, refine
from scalr.sample import sample
from scalr.split import Fold, split
from scalr.synthetic import SyntheticEvents
from scalr.train import ExtraReal, choose_popularity_prior, synthetic_weights, train
from scalr.translators import fit

STUDY_SCHEMA = "scalr.study/1"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class ArmResult:
    """One arm trained and judged with one seed.

    Attributes:
        arm: Name of the arm.
        seed: The seed.
        epochs: Passes over the events, chosen on the validation fold.
        evaluation: Metrics on the test fold.
        synthetic_events: Synthetic events it was trained on in the test fold.
    """

    arm: str
    seed: int
    epochs: int
    evaluation: Evaluation
    synthetic_events: int


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A finished comparison.

    Attributes:
        results: One per seed and arm, by seed, arms in the order asked for.
        popularity_priors: One per seed, chosen by `real_only` on the validation fold unless the settings name one.
        pair: The whole logs.
        fold: The first seed's test fold.
        synthetic: The first seed's synthetic events in the test fold: arms `scalr` and, where asked for, `top1`.
        steps: The settings.
    """

    results: tuple[ArmResult, ...]
    popularity_priors: tuple[float | None, ...]
    pair: Pair
    fold: Fold
    synthetic: Mapping[str, SyntheticEvents]
    steps: Steps

    def to_json(self) -> dict[str, Any]:
        """Return `study.json`: protocol, arms (all users), arms by segment, comparisons."""
        seeds = sorted({result.seed for result in self.results})
        by_arm = {arm: [r for r in self.results if r.arm == arm] for arm in dict.fromkeys(r.arm for r in self.results)}
        segments = {
            segment: {arm: _metrics([r.evaluation for r in results], segment) for arm, results in by_arm.items()}
            for segment in ("all", "warm", "cold")
        }
        return {
            "schema": STUDY_SCHEMA,
            "protocol": self._protocol(seeds),
            "arms": segments["all"],
            "segments": segments,
            "epochs": {arm: [r.epochs for r in results] for arm, results in by_arm.items()},
            "synthetic_events": {arm: [r.synthetic_events for r in results] for arm, results in by_arm.items()},
            "comparisons": compare_arms({arm: [r.evaluation for r in results] for arm, results in by_arm.items()}),
        }

    def _protocol(self, seeds: list[int]) -> dict[str, Any]:
        fold = self.fold
        return {
            "seeds": seeds,
            "split": self.steps.split.model_dump(mode="json"),
            "interval": "Student t over seeds" if len(seeds) > 1 else "bootstrap over test users",
            "judged_pairs": len(fold.user),
            "judged_users": len(np.unique(fold.user)),
            "judged_cold_users": int(fold.is_cold(np.unique(fold.user)).sum()),
            "left_out": dict(fold.left_out),
            "tuning": (
                "popularity prior: chosen by real_only on the validation fold, for all arms; "
                "epochs: chosen by each arm there, then trained anew before the test period"
            ),
            "popularity_prior": list(self.popularity_priors),
            "settings": self.steps.model_dump(mode="json", exclude={"seed", "study"}),
        }


def study(
    pair: Pair,
    steps: Steps | None = None,
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> Study:
    """Train every arm with every seed on one pair of logs and judge them on the same held-out events.

    For each seed, let real events choose the popularity prior on the validation period. Then for each arm: fit,
    sample and refine before that period, train with early stopping on it; fit, sample and refine anew before the test
    period, train for the chosen number of passes, and judge once.

    Arms: `real_only`; `oversampled_real` (as many repeats of real events as there are synthetic ones, of the same
    total weight); `random_items`, `popular_items`, `shuffled_users` (the synthetic events with item or user
    exchanged, those that became real pairs dropped as well);
    `top1` (each source event's most probable item, at the total weight of `scalr`); `scalr`.

    Args:
        pair: The whole logs.
        steps: Settings of every step; defaults if None.
        threads: Arms trained at a time; the results do not depend on it.
        progress: Called with the name of each thing done: every arm of every seed, twice (validation, test).

    Raises:
        InputError: If the logs cannot be cut as asked.
    """
    steps = steps or Steps()
    arms: tuple[Arm, ...] = tuple(dict.fromkeys(("real_only", *steps.study.arms)))
    results: list[ArmResult] = []
    priors: list[float | None] = []
    first: tuple[Fold, dict[str, SyntheticEvents]] | None = None
    for seed in range(steps.seed, steps.seed + steps.study.seeds):
        folds = split(pair, steps.split, seed)
        chosen: dict[Arm, int | None] = dict.fromkeys(arms)
        tuned = steps.model_copy(update={"train": choose_popularity_prior(folds.validation, steps.train, seed)})
        priors.append(tuned.train.popularity_prior)
        for fold in (folds.validation, folds.test):
            synthetic = synthesise(fold.pair, steps, seed, with_top1="top1" in arms, threads=threads)
            one_arm = partial(_train_and_judge, fold, synthetic, tuned, seed, progress)
            with ThreadPoolExecutor(threads) as pool:
                done = list(pool.map(one_arm, arms, chosen.values()))
            chosen = {arm: result.epochs for arm, result in zip(arms, done, strict=True)}
        first = first or (fold, synthetic)
        results.extend(done)
    assert first is not None  # seeds >= 1
    return Study(tuple(results), tuple(priors), pair, first[0], first[1], steps)


def _train_and_judge(
    fold: Fold,
    synthetic: Mapping[str, SyntheticEvents],
    steps: Steps,
    seed: int,
    progress: Progress | None,
    arm: Arm,
    epochs: int | None,
) -> ArmResult:
    """Train one arm on a fold, with early stopping where `epochs` is None, and judge it there."""
    events, extra = _arm_events(arm, fold, synthetic, steps, seed)
    trained = train(fold, events, steps.train, seed, epochs=epochs, extra_real=extra)
    judged = evaluate(trained.model, fold, steps.evaluate, seed)
    if progress:
        progress(f"{arm}, seed {seed}, {fold.name}")
    return ArmResult(arm, seed, trained.epochs, judged, 0 if events is None else len(events))


def synthesise(
    pair: Pair, steps: Steps, seed: int, *, with_top1: bool = False, threads: int = 1
) -> dict[str, SyntheticEvents]:
    """Fit, sample and refine: the events of arm `scalr` and, with one draw of the top item, of `top1`."""
    translation = fit(pair, settings=steps.translate)
    events = {"scalr": refine(sample(translation, steps.sample, seed=seed, threads=threads), steps.refine)}
    if with_top1:
        top = steps.sample.model_copy(update={"strategy": "topk", "draws_per_event": 1})
        top1 = refine(sample(translation, top, seed=seed, threads=threads), steps.refine)
        total, own = float(events["scalr"].weight.sum()), float(top1.weight.sum())
        scale = np.float32(total / own if own > 0 else 1.0)
        events["top1"] = replace(top1, weight=top1.weight * scale)
    return events


def _arm_events(
    arm: str, fold: Fold, synthetic: Mapping[str, SyntheticEvents], steps: Steps, seed: int
) -> tuple[SyntheticEvents | None, ExtraReal | None]:
    """Return what an arm trains on beside the real events."""
    scalr = synthetic["scalr"]
    if arm == "real_only":
        return None, None
    if arm == "oversampled_real":
        user, item = controls.oversampled_real(fold.pair.target, len(scalr), seed)
        total = synthetic_weights(scalr, fold.pair.target, steps.train).sum()
        weight = np.full(len(user), total / max(len(user), 1), np.float32)
        return None, ExtraReal(user, item, weight)
    if arm in synthetic:
        return synthetic[arm], None
    return drop_real(getattr(controls, arm)(scalr, seed)), None


def _metrics(evaluations: list[Evaluation], segment: str) -> dict[str, dict[str, Any]]:
    """Return {metric: {mean, per_seed}}; null where a segment has no judged pairs."""
    metrics: dict[str, dict[str, Any]] = {}
    for name in evaluations[0].segments[segment]:
        values = [evaluation.segments[segment][name] for evaluation in evaluations]
        known = [value for value in values if value is not None]
        metrics[name] = {"mean": float(np.mean(known)) if known else None, "per_seed": values}
    return metrics
