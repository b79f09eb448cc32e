"""Trials on validation folds: arms trained with candidate settings, searches in rounds, every outcome remembered."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalr.evaluation import Fold, Strength, evaluate, get_model, get_rival
from scalr.foundation import Advance, Arm, DivergenceError, Steps, __version__, combine_keys
from scalr.logs import Pair
from scalr.studies.arms import Synthesis, train_arm
from scalr.studies.choosing.choice import Search
from scalr.studies.choosing.races import SURVIVORS, Changes, Journal, Outcome, Trial, best_of, race
from scalr.studies.choosing.rounds import Round
from scalr.studies.gate import half_of

EQUAL = 0.001  # settings whose losses differ by less than this share are equal; the ranking metric then decides


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What a search may try.

    Attributes:
        rounds: Rounds of candidates; each starts from the best settings of the round before.
        max_trials: Upper bound on the trials; those of the starting settings do not count.
        max_seconds: No round starts after this many seconds; None for no limit.
        start: Changes to start from.
        survivors: One of so many candidates goes on to the next seed; see `race`.
    """

    rounds: Sequence[Round]
    max_trials: int
    max_seconds: float | None = None
    start: Changes = field(default_factory=dict)
    survivors: int = SURVIVORS


class ValidationTrials:
    """Trains arms on the validation folds of the choosing seeds, and searches for the best settings.

    Losses are those of the half of the users that chooses, or of all users if that half has no judged pair.

    Args:
        folds: By seed, its validation fold.
        journal: Outcomes that are known already.
        threads: Trials at a time.
        advance: Called with the number of trials since its last call.
    """

    def __init__(self, folds: Mapping[int, Fold], journal: Journal, *, threads: int, advance: Advance) -> None:
        halves = {seed: half_of(fold) for seed, fold in folds.items()}
        self._synthesis = [Synthesis(half if len(half.user) else folds[seed], seed) for seed, half in halves.items()]
        self._fingerprints = [_fingerprint(fold) for fold in folds.values()]
        self._journal, self._advance, self.threads = journal, advance, threads
        self._cores = threading.Semaphore(threads)
        self.pair: Pair = self._synthesis[0].fold.pair
        self.is_timed = self.pair.target.time is not None

    @property
    def n_seeds(self) -> int:
        """Return the number of choosing seeds."""
        return len(self._synthesis)

    def outcome(self, arm: Arm, steps: Steps, place: int, strength: Strength | None = None) -> Outcome:
        """Train an arm with the seed at `place`; return what the journal knows or training gives.

        Args:
            arm: Name of the arm.
            steps: Settings of the arm.
            place: Position of the seed among the choosing seeds.
            strength: Own settings of a conventional method; None for all other arms.
        """
        needs_events = arm != "real_only" and strength is None
        sections = ("translate", "sample", "refine", "train") if needs_events else ("train",)
        key = {
            "scalr": __version__,
            "arm": arm,
            "logs": self._fingerprints[place],
            "seed": self._synthesis[place].seed,
            "split": steps.split.model_dump(mode="json"),
            "top": steps.evaluate.top,
            "settings": {
                name: getattr(steps, name).model_dump(mode="json", exclude={"checkpoints"}) for name in sections
            },
            **({} if strength is None else {"strength": dict(strength)}),
        }
        return self._journal.outcome(key, lambda: self._run(arm, steps, self._synthesis[place], strength))

    def _run(
        self, arm: Arm, steps: Steps, synthesis: Synthesis, strength: Strength | None
    ) -> tuple[float, float | None, int]:
        """Return validation loss, NDCG and epochs; an infinite loss if training diverges."""
        with self._cores:  # several searches may run side by side
            self._advance(1)
            try:
                trained = train_arm(synthesis, arm, steps, strength=strength).trained
            except DivergenceError:
                return math.inf, None, 0
            ndcg = None
            if not get_model(steps.train.model).ranks_pairwise:
                judged = evaluate(trained.model, synthesis.fold, steps.evaluate, synthesis.seed)
                ndcg = judged.segments["all"][f"ndcg@{steps.evaluate.top}"]
            return min(trained.validation_losses), ndcg, trained.epochs

    def search_strength(self, arm: Arm, steps: Steps, max_trials: int) -> Search:
        """Choose among the first `max_trials` strengths of a conventional method."""
        ranked = race(
            get_rival(arm).strengths[:max_trials],
            self.n_seeds,
            lambda strength, place: self.outcome(arm, steps, place, strength),
            self.threads,
        )
        return Search({"strength": tuple(ranked)}, best_of(self._finished(ranked), EQUAL).changes)

    def search(self, arm: Arm, steps: Steps, plan: SearchPlan) -> Search:
        """Run one round after another, each from the best settings of the round before.

        Of all trials whose loss is the lowest within `EQUAL`, the trial that ranks best is chosen.

        Args:
            arm: Name of the arm whose settings are chosen.
            steps: Settings that changes are counted from.
            plan: What may be tried.
        """
        started, chosen, left = time.perf_counter(), dict(plan.start), plan.max_trials
        done: dict[str, tuple[Trial, ...]] = {}
        stopped = None
        for name, candidates in plan.rounds:
            if plan.max_seconds is not None and time.perf_counter() - started > plan.max_seconds:
                stopped = f"the budget of {plan.max_seconds:g} seconds was used up before round '{name}'"
                break
            current = steps.changed(chosen)
            new = [c for c in candidates(current) if any(c[key] != current.at(key) for key in c)][:left]
            if not new:
                continue
            left -= len(new)
            tried = [dict(chosen), *({**chosen, **changes} for changes in new)]
            ranked = race(tried, self.n_seeds, self._trial_of(arm, steps), self.threads, plan.survivors)
            done[name], chosen = tuple(ranked), dict(ranked[0].changes)
        if finished := self._finished(trial for ranked in done.values() for trial in ranked):
            chosen = dict(best_of(finished, EQUAL).changes)
        if left == 0 and stopped is None:
            stopped = f"the budget of {plan.max_trials} trials was used up"
        return Search(done, chosen, stopped)

    def _trial_of(self, arm: Arm, steps: Steps) -> Callable[[Changes, int], Outcome]:
        return lambda changes, place: self.outcome(arm, steps.changed(changes), place)

    def _finished(self, trials: Iterable[Trial]) -> list[Trial]:
        """Return the trials that were tried with every seed."""
        return [trial for trial in trials if len(trial.outcomes) == self.n_seeds]


def _fingerprint(fold: Fold) -> list[Any]:
    """Return what distinguishes a fold: visible logs, judged pairs, the item table."""
    target = fold.pair.target
    judged = combine_keys(target.users.keys[fold.user], target.items.keys[fold.item])
    items = [source.get("digest") for source in fold.pair.inputs if source.get("role") == "items"]
    return [fold.pair.source.digest(), target.digest(), int(np.sum(judged, dtype=np.uint64)), items]
