"""Every seed of a study: each arm chooses its passes before the validation period, is trained anew, and judged once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from scalr.evaluation import (
    Evaluation,
    Fold,
    Model,
    Strength,
    Trained,
    count_popularity,
    evaluate,
    evaluation_of,
    split,
    train,
    train_rival,
)
from scalr.foundation import RIVALS, Arm, Kept
from scalr.logs import Pair, catalogue_of
from scalr.studies.arms import Synthesis
from scalr.studies.choosing.choice import Choice
from scalr.studies.gate import gated
from scalr.synthesis import SyntheticEvents


@dataclass(frozen=True, slots=True, eq=False)
class ArmResult:
    """One arm trained and judged with one seed.

    Attributes:
        arm: Name of the arm.
        seed: The seed.
        epochs: Passes over the events, chosen on the validation fold.
        evaluation: Metrics on the test fold.
        synthetic_events: Synthetic events it was trained on in the test fold.
        strength: Of a conventional method, its own settings; empty for all else.
    """

    arm: str
    seed: int
    epochs: int
    evaluation: Evaluation
    synthetic_events: int
    strength: Strength

    @classmethod
    def kept(cls, values: Mapping[str, Any]) -> ArmResult:
        """Return the result that was kept as plain values and arrays."""
        return cls(**{**values, "evaluation": evaluation_of(values["evaluation"])})


class Contest:
    """One seed: its folds and their synthetic events, made when somebody asks, and its arms, which threads may run.

    Args:
        pair: The whole logs.
        choice: Settings of every arm, and the gate.
        seed: The seed.
        threads: Threads to draw events with.
    """

    def __init__(self, pair: Pair, choice: Choice, seed: int, threads: int) -> None:
        self.seed = seed
        self._pair, self._choice, self._threads = pair, choice, threads
        self._stages: Kept[tuple[Synthesis, Synthesis]] = Kept(1)
        self._real_only: Future[Model] = Future()

    def stages(self) -> tuple[Synthesis, Synthesis]:
        """Return the synthetic events of the validation fold and of the test fold."""

        def make() -> tuple[Synthesis, Synthesis]:
            folds = split(self._pair, self._choice.steps.split, self.seed)
            validation, test = (
                Synthesis(one, self.seed, threads=self._threads) for one in (folds.validation, folds.test)
            )
            return validation, test

        return self._stages.get("stages", make)

    def run(self, arm: Arm, advance: Callable[[int], None]) -> ArmResult:
        """Train an arm, twice, and judge it; `scalr` waits for `real_only`, which serves where its gate is closed."""
        try:
            trained, n_events = self._trained(arm, advance)
        except BaseException as error:
            if arm == "real_only":
                self._real_only.set_exception(error)
            raise
        model, fold = trained.model, self.stages()[1].fold
        if arm == "real_only":
            self._real_only.set_result(model)
        if arm == "scalr" and self._choice.openings:
            model = gated(model, self._real_only.result(), fold, self._choice.openings)
        judged = evaluate(model, fold, self._choice.steps.evaluate, self.seed)
        return ArmResult(arm, self.seed, trained.epochs, judged, n_events, trained.strength)

    def popularity(self) -> Evaluation:
        """Judge popularity alone."""
        fold, settings = self.stages()[1].fold, self._choice.steps.evaluate
        counted = count_popularity(fold.pair.target, catalogue_of(fold.pair.target), settings.negatives)
        return evaluate(counted, fold, settings, self.seed)

    def shown(self, arms: Sequence[Arm]) -> tuple[Fold, dict[str, SyntheticEvents]]:
        """Return the test fold, and its synthetic events of `scalr` and, if it is among the arms, `top1`."""
        synthesis, choice = self.stages()[1], self._choice
        shown = {"scalr": synthesis.scalr(choice.of("scalr"))}
        return synthesis.fold, shown | ({"top1": synthesis.top1(choice.of("top1"))} if "top1" in arms else {})

    def forget(self) -> None:
        """Let folds and synthetic events go."""
        self._stages = Kept(1)

    def _trained(self, arm: Arm, advance: Callable[[int], None]) -> tuple[Trained, int]:
        """Return the test fold's model, of as many passes as the validation fold chose, and its synthetic events."""
        settings, epochs = self._choice.of(arm), None
        for stage in self.stages():
            if arm in RIVALS:
                strength, n_events = self._choice.strength(arm), 0
                trained = train_rival(arm, stage.fold, settings.train, self.seed, strength=strength, epochs=epochs)
            else:
                events, extra = stage.arm(arm, settings)
                n_events = 0 if events is None else len(events)
                trained = train(stage.fold, events, settings.train, self.seed, epochs=epochs, extra_real=extra)
            epochs = trained.epochs
            advance(1)
        return trained, n_events


def run_all(
    contests: Sequence[Contest], arms: Sequence[Arm], threads: int, advance: Callable[[int], None]
) -> Iterator[list[ArmResult]]:
    """Yield the results of one seed after another, by arm.

    Arms of the next seed begin while the last ones of a seed still run, so that no thread waits for another.

    Args:
        contests: One per seed.
        arms: `real_only` among them.
        threads: Arms at a time; the results do not depend on it.
        advance: Told of every fit.
    """
    order = sorted(arms, key=lambda arm: (arm != "real_only", arm not in RIVALS))  # `scalr` waits for the first
    jobs = (partial(contest.run, arm, advance) for contest in contests for arm in order)
    with ThreadPoolExecutor(threads) as pool:
        done = pool.map(lambda job: job(), jobs)
        for _ in contests:
            of_arm = {arm: next(done) for arm in order}
            yield [of_arm[arm] for arm in arms]
