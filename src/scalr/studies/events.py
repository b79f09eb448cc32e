"""The study of event logs: what synthetic events are worth to a model that is trained on events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalr.evaluation import (
    SEGMENTS,
    Evaluation,
    Fold,
    count_popularity,
    evaluate,
    evaluation_of,
    get_rival,
    split,
)
from scalr.foundation import RIVALS, Advance, Arm, Board, Checkpoints, SilentBoard, Steps
from scalr.logs import Pair, catalogue_of
from scalr.studies.arms import Synthesis, TrainedArm, arms_of, train_arm
from scalr.studies.choosing.choice import Choice
from scalr.studies.choosing.races import Journal
from scalr.studies.choosing.rehearsing import rehearse
from scalr.studies.choosing.trialling import ValidationTrials
from scalr.studies.choosing.tuning import AUTO, tune
from scalr.studies.gate import Opening, gated
from scalr.studies.loop import run_study
from scalr.studies.results import compare_arms, means, over_seeds
from scalr.studies.translations import TranslationQuality, translation_quality
from scalr.synthesis import SyntheticEvents

STUDY_SCHEMA = "scalr.study/1"
POPULARITY = "popularity"


@dataclass(frozen=True, slots=True, eq=False)
class EventResult:
    """One arm trained and judged with one seed.

    Attributes:
        arm: Name of the arm.
        seed: The seed.
        epochs: Epochs of training, chosen on the validation fold.
        evaluation: Metrics on the test fold.
        synthetic_events: Synthetic events that it was trained on in the test fold.
        strength: Own settings of a conventional method; empty for all other arms.
    """

    arm: str
    seed: int
    epochs: int
    evaluation: Evaluation
    synthetic_events: int
    strength: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class EventExample:
    """What a study shows of the first seed's test fold.

    Attributes:
        fold: The test fold.
        synthetic: Its synthetic events of `scalr` and, if it is among the arms, `top1`.
    """

    fold: Fold
    synthetic: Mapping[str, SyntheticEvents]


class EventTask:
    """How a study of event logs chooses, trains, serves and judges; a `protocol.Task`.

    Args:
        pair: The whole logs.
        steps: Settings of every step.
        threads: Threads to draw and to try settings with; the results do not depend on it.
        journal: Outcomes of trials that are known already.
        arms: The arms, `real_only` first; those of the settings if None.
    """

    def __init__(
        self, pair: Pair, steps: Steps, *, threads: int, journal: Journal, arms: Sequence[Arm] | None = None
    ) -> None:
        self._pair, self._steps, self._threads, self._journal = pair, steps, threads, journal
        self.arms: Sequence[Arm] = arms or arms_of(steps)
        self.seeds: Sequence[int] = range(steps.seed, steps.seed + steps.study.seeds)

    @property
    def choosing_stage(self) -> tuple[str, int | None, str]:
        """Return name, total and unit of the progress of `choose` and `gate`."""
        return "choosing settings", None, "trials"

    def choose(self, advance: Advance) -> Choice:
        """Choose the settings of every arm by races of trials; see `tuning`."""
        return tune(self._trials(advance), self._steps, self.arms)

    def gate(self, choice: Choice, advance: Advance) -> Choice:
        """Rehearse the test period on earlier periods; see `rehearsing`. By default with the translator `auto` only."""
        is_auto = self._steps.translate.translator == AUTO
        if not (is_auto if self._steps.study.gate is None else self._steps.study.gate):
            return choice
        rehearsed = rehearse(choice, self._pair, self._choosing_seeds, threads=self._threads, advance=advance)
        return replace(choice, rehearsed=rehearsed)

    @property
    def _choosing_seeds(self) -> Sequence[int]:
        return self.seeds[: self._steps.study.choosing_seeds]

    def _trials(self, advance: Advance) -> ValidationTrials:
        folds = {seed: split(self._pair, self._steps.split, seed).validation for seed in self._choosing_seeds}
        return ValidationTrials(folds, self._journal, threads=self._threads, advance=advance)

    def folds(self, choice: Choice, seed: int) -> tuple[Synthesis, Synthesis]:
        """Return the validation and the test fold with their synthetic events."""
        folds = split(self._pair, choice.steps.split, seed)
        validation, test = (Synthesis(fold, seed, threads=self._threads) for fold in (folds.validation, folds.test))
        return validation, test

    def fit(self, choice: Choice, arm: Arm, fold: Synthesis, earlier: TrainedArm | None) -> TrainedArm:
        """Train with early stopping on the validation fold, and for as many epochs on the test fold."""
        epochs = None if earlier is None else earlier.trained.epochs
        strength = choice.strength(arm) if arm in RIVALS else None
        return train_arm(fold, arm, choice.of(arm), epochs=epochs, strength=strength)

    def serve(
        self, augmented: TrainedArm, real_only: TrainedArm, fold: Synthesis, openings: Sequence[Opening]
    ) -> TrainedArm:
        """Return a model that routes users of closed segments to the model of real events alone."""
        model = gated(augmented.trained.model, real_only.trained.model, fold.fold, openings)
        return replace(augmented, trained=replace(augmented.trained, model=model))

    def judge(self, choice: Choice, arm: Arm, fitted: TrainedArm, fold: Synthesis) -> EventResult:
        """Evaluate a trained arm on the test fold."""
        trained = fitted.trained
        evaluation = evaluate(trained.model, fold.fold, choice.steps.evaluate, fold.seed)
        return EventResult(arm, fold.seed, trained.epochs, evaluation, fitted.n_events, trained.strength)

    def references(self, choice: Choice, fold: Synthesis) -> dict[str, EventResult]:
        """Evaluate popularity alone, which any model should beat."""
        settings, target = choice.steps.evaluate, fold.fold.pair.target
        popularity = count_popularity(target, catalogue_of(target), settings.negatives)
        evaluation = evaluate(popularity, fold.fold, settings, fold.seed)
        return {POPULARITY: EventResult(POPULARITY, fold.seed, 0, evaluation, 0, {})}

    def example(self, choice: Choice, folds: tuple[Synthesis, Synthesis]) -> EventExample:
        """Return the test fold and its synthetic events."""
        test = folds[1]
        top1 = {"top1": test.top1(choice.of("top1"))} if "top1" in self.arms else {}
        return EventExample(test.fold, {"scalr": test.scalr(choice.of("scalr")), **top1})

    def restored(self, values: Mapping[str, Any]) -> EventResult:
        """Return the result whose fields were stored."""
        return EventResult(**{**values, "evaluation": evaluation_of(values["evaluation"])})


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A finished comparison.

    Attributes:
        results: One per seed and arm, by seed, arms in the order of the settings.
        choice: What the validation periods chose: settings by arm, the gate.
        pair: The whole logs.
        fold: The first seed's test fold.
        synthetic: The first seed's synthetic events in the test fold: arms `scalr` and, if it was trained, `top1`.
        steps: The settings, those that were chosen included.
        popularity: Per seed, the metrics of popularity alone, which is no arm but a reference that a model must beat.
        translation: Every translator without a model on the first seed's test fold; nothing is chosen by it.
    """

    results: tuple[EventResult, ...]
    choice: Choice
    pair: Pair
    fold: Fold
    synthetic: Mapping[str, SyntheticEvents]
    steps: Steps
    popularity: tuple[Evaluation, ...]
    translation: Mapping[str, TranslationQuality]

    def to_json(self) -> dict[str, Any]:
        """Return `study.json`: protocol, arms (all users), arms by segment, comparisons."""
        seeds = sorted({result.seed for result in self.results})
        by_arm = {arm: [r for r in self.results if r.arm == arm] for arm in dict.fromkeys(r.arm for r in self.results)}
        evaluations = {arm: [result.evaluation for result in results] for arm, results in by_arm.items()}
        by_segment = {arm: means(judged) for arm, judged in evaluations.items()}
        segments = {segment: {arm: values[segment] for arm, values in by_segment.items()} for segment in SEGMENTS}
        return {
            "schema": STUDY_SCHEMA,
            "protocol": self._protocol(seeds),
            "arms": segments["all"],
            "segments": segments,
            "epochs": {arm: [r.epochs for r in results] for arm, results in by_arm.items()},
            "synthetic_events": {arm: [r.synthetic_events for r in results] for arm, results in by_arm.items()},
            "references": {POPULARITY: means(self.popularity)["all"]},
            "choice": self._choice(),
            "rivals": {arm: self._method(arm, results) for arm, results in by_arm.items() if arm in RIVALS} or None,
            "comparisons": compare_arms(evaluations, over_seeds),
            "translation": {name: quality.to_json() for name, quality in self.translation.items()},
        }

    def _choice(self) -> dict[str, Any]:
        choice = self.choice
        return {
            "seeds": min(self.steps.study.choosing_seeds, self.steps.study.seeds),
            "searches": {arm: search.to_json() for arm, search in choice.searches.items()},
            "settings": {arm: steps.train.model_dump(mode="json") for arm, steps in choice.own.items()},
            "gate": [opening.to_json() for opening in choice.openings] or None,
            "rehearsals": {
                name: [opening.to_json() for opening in openings] for name, openings in choice.rehearsed.items()
            }
            or None,
        }

    def _method(self, arm: str, results: Sequence[EventResult]) -> dict[str, Any]:
        tried = get_rival(arm).strengths[: self.steps.study.rival_trials]
        chosen = [dict(result.strength) for result in results]
        return {"tried": [dict(strength) for strength in tried], "chosen": chosen}

    def _protocol(self, seeds: list[int]) -> dict[str, Any]:
        return {
            **judging_protocol(self.fold, self.steps, seeds),
            "tuning": (
                "popularity prior, half-life, penalty and step size: chosen by real_only on the validation periods of "
                "the first seeds, for all arms to begin with; strengths of conventional methods: chosen there by each "
                "of them; passes: chosen by each arm and seed on its own, then trained anew before the test period"
            ),
            "settings": self.steps.model_dump(mode="json", exclude={"seed", "study"}),
        }


def judging_protocol(fold: Fold, steps: Steps, seeds: list[int]) -> dict[str, Any]:
    """Return what `study.json` and `sweeps.json` state about seeds, split and judged pairs.

    Args:
        fold: The first seed's test fold.
        steps: The settings.
        seeds: The seeds.
    """
    users = np.unique(fold.user)
    return {
        "seeds": seeds,
        "split": steps.split.model_dump(mode="json"),
        "split_rule": fold.rule.to_json(),
        "interval": "Student t over seeds" if len(seeds) > 1 else "bootstrap over test users",
        "judged_pairs": len(fold.user),
        "judged_users": len(users),
        "judged_cold_users": int(fold.is_cold(users).sum()),
        "judged_naturally_cold_users": int(fold.is_naturally_cold(users).sum()),
        "left_out": dict(fold.left_out),
    }


def study(
    pair: Pair,
    steps: Steps | None = None,
    *,
    threads: int = 1,
    board: Board | None = None,
    journal: Journal | None = None,
    pieces: Checkpoints | None = None,
) -> Study:
    """Train every arm with every seed on one pair of logs and judge them on the same held-out events.

    First, settings are chosen on validation periods: by real events alone the settings that all arms share; with the
    translator `auto`, by synthetic events how they are made and weighed; then the gate. Then, for each seed and arm:
    fit, sample and refine before the validation period, train with early stopping on it; fit, sample and refine anew
    before the test period, train for the chosen number of epochs, and judge once.

    Arms: `real_only`; `oversampled_real` (as many repeats of real events as there are synthetic events, with the same
    total weight; repeats of an event are one row); `random_items`, `popular_items`, `shuffled_users` (the synthetic
    events with item or user exchanged, without those that became real pairs); `top1` (each source event's most probable
    item, at the total weight of `scalr`); `scalr`, behind the gate; conventional methods
    (`scalr.evaluation.cross_domain`), with the settings that real events alone chose, and strengths of their own.

    Args:
        pair: The whole logs.
        steps: Settings of every step; defaults if None.
        threads: Arms trained at a time; the results do not depend on it.
        board: Shows the progress.
        journal: Trials that are known already.
        pieces: Finished seeds of an earlier run, and where to store those that finish now.

    Raises:
        InputError: If the logs cannot be cut as the settings say, or a model or arm does not exist or cannot be
            combined.
    """
    steps = steps or Steps()
    task = EventTask(pair, steps, threads=threads, journal=journal or Journal())
    done = run_study(task, threads=threads, board=board or SilentBoard(), pieces=pieces)
    choice, example = done.choice, done.example
    quality = translation_quality(example.fold, choice.steps.translate, seed=steps.seed, threads=threads)
    return Study(
        results=tuple(result for seed in done.seeds for result in seed.arms.values()),
        choice=choice,
        pair=pair,
        fold=example.fold,
        synthetic=example.synthetic,
        steps=choice.steps,
        popularity=tuple(seed.references[POPULARITY].evaluation for seed in done.seeds),
        translation=quality,
    )
