"""The gate of event studies: what will be done for the test period is rehearsed on earlier periods.

Arms choose their epochs on one period, are trained anew up to the next period and judged there, on users who did not
choose. `evaluation.rehearsal` cuts the periods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from scalr.evaluation import REHEARSALS, Evaluation, Fold, Split, evaluate, rehearsal
from scalr.foundation import Advance, Arm, Steps
from scalr.logs import Pair
from scalr.studies.arms import Synthesis, train_arm
from scalr.studies.choosing.choice import Choice
from scalr.studies.gate import COMPARED_ARMS, Opening, half_of, never_open, open_segments


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """One arm to train on the two periods of a rehearsal and to judge on `judges`."""

    name: str
    arm: Arm
    steps: Steps
    validation: Synthesis
    test: Synthesis
    judges: Fold

    def run(self) -> Evaluation:
        """Train with early stopping, train anew for as many epochs, and judge without ranking."""
        epochs = train_arm(self.validation, self.arm, self.steps).trained.epochs
        model = train_arm(self.test, self.arm, self.steps, epochs=epochs).trained.model
        unranked = self.steps.evaluate.model_copy(update={"ranked_users": 0})
        return evaluate(model, self.judges, unranked, self.test.seed)


def rehearse(
    choice: Choice, pair: Pair, seeds: Sequence[int], *, threads: int, advance: Advance
) -> Mapping[str, tuple[Opening, ...]]:
    """Return by rehearsal for whom it opens the gate; for nobody if the log is too short to rehearse.

    Args:
        choice: Chosen settings; shuffled users get those of `scalr`, so that only the users differ.
        pair: The whole logs.
        seeds: Seeds to rehearse with.
        threads: Arms trained at a time.
        advance: Called with the number of rehearsed arms since its last call.
    """
    settings: dict[Arm, Steps] = {
        arm: choice.own["real_only"] if arm == "real_only" else choice.steps for arm in COMPARED_ARMS
    }
    splits = {name: [rehearsal(name, pair, choice.steps.split, seed) for seed in seeds] for name in REHEARSALS}
    possible: dict[str, list[Split]] = {name: found for name in REHEARSALS if (found := _usable(splits[name]))}

    def run(job: _Job) -> tuple[_Job, Evaluation]:
        evaluation = job.run()
        advance(1)
        return job, evaluation

    judged: dict[str, dict[str, list[Evaluation]]] = {name: {arm: [] for arm in settings} for name in possible}
    with ThreadPoolExecutor(threads) as pool:
        for job, evaluation in pool.map(run, _jobs(settings, possible, seeds)):
            judged[job.name][job.arm].append(evaluation)
    return {name: open_segments(judged[name]) if name in judged else never_open() for name in REHEARSALS}


def _usable(splits: Sequence[Split | None]) -> list[Split]:
    """Return the periods of a rehearsal, one split per seed; empty if a seed has no periods or nobody to judge."""
    found = [split for split in splits if split is not None]
    can_judge = all(len(one.validation.user) and len(half_of(one.test, judge=True).user) for one in found)
    return found if len(found) == len(splits) and can_judge else []


def _jobs(settings: Mapping[Arm, Steps], splits: Mapping[str, Sequence[Split]], seeds: Sequence[int]) -> Iterator[_Job]:
    for name, of_seeds in splits.items():
        for folds, seed in zip(of_seeds, seeds, strict=True):
            half = half_of(folds.validation)
            validation = Synthesis(half if len(half.user) else folds.validation, seed)
            test, judges = Synthesis(folds.test, seed), half_of(folds.test, judge=True)
            for arm, steps in settings.items():
                yield _Job(name, arm, steps, validation, test, judges)
