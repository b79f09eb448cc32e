"""Train arms on validation folds and remember how they did."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from scalr.evaluation import (
    Evaluation,
    Fold,
    Split,
    Strength,
    Trained,
    evaluate,
    get_model,
    get_rival,
    train,
    train_rival,
)
from scalr.foundation import Arm, Board, DivergenceError, Steps, __version__, combine_keys
from scalr.logs import Pair
from scalr.studies.arms import Synthesis
from scalr.studies.choosing.choice import Search
from scalr.studies.choosing.races import SURVIVORS, Changes, Journal, Outcome, Trial, best_of, race
from scalr.studies.choosing.rounds import (
    Round,
)
from scalr.studies.gate import choosing

EQUAL = 0.001  # settings whose losses differ by less than this share are equal; then ranking chooses


class Examiner:
    """Trains arms on validation folds and remembers how they did.

    Args:
        folds: Validation folds of successive seeds.
        first_seed: The first of them.
        journal: Outcomes that are known already.
        threads: Trials at a time.
        board: Shown the number of trials.
    """

    def __init__(self, folds: Sequence[Fold], first_seed: int, journal: Journal, threads: int, board: Board) -> None:
        halves = [choosing(fold) for fold in folds]
        self.choosing = [half if len(half.user) else fold for half, fold in zip(halves, folds, strict=True)]
        self.seeds = [first_seed + place for place in range(len(folds))]
        self.threads, self._journal = threads, journal
        self._cores = threading.Semaphore(threads)
        self._synthesis = [Synthesis(fold, seed) for fold, seed in zip(folds, self.seeds, strict=True)]
        self._logs = [_known_by(fold) for fold in folds]
        self.pair: Pair = folds[0].pair
        self.is_timed = self.pair.target.time is not None
        self._advance = board.stage("choosing settings", unit="trials")

    def outcome(self, arm: Arm, steps: Steps, place: int) -> Outcome:
        """Train an arm with the seed of that number; loss and NDCG are those of the choosing users."""
        sections = ("train",) if arm == "real_only" else ("translate", "sample", "refine", "train")

        def fitted() -> Trained:
            events, extra = self._synthesis[place].arm(arm, steps)
            return train(self.choosing[place], events, steps.train, self.seeds[place], extra_real=extra)

        return self._outcome(arm, steps, place, sections, {}, fitted)

    def rival_outcome(self, arm: Arm, steps: Steps, strength: Strength, place: int) -> Outcome:
        """Do the same with a conventional method."""

        def fitted() -> Trained:
            return train_rival(arm, self.choosing[place], steps.train, self.seeds[place], strength=strength)

        return self._outcome(arm, steps, place, ("train",), {"strength": dict(strength)}, fitted)

    def _outcome(
        self, arm: Arm, steps: Steps, place: int, sections: Sequence[str], more: Changes, fitted: Callable[[], Trained]
    ) -> Outcome:
        key = {
            "scalr": __version__,
            "arm": arm,
            "logs": self._logs[place],
            "seed": self.seeds[place],
            "split": steps.split.model_dump(mode="json"),
            "top": steps.evaluate.top,
            "settings": {
                name: getattr(steps, name).model_dump(mode="json", exclude={"checkpoints"}) for name in sections
            },
            **more,
        }

        def run() -> tuple[float, float | None, int]:
            with self._cores:  # several searches may run side by side
                self._advance(1)
                try:
                    trained = fitted()
                except DivergenceError:
                    return math.inf, None, 0
                ndcg = None
                if not get_model(steps.train.model).ranks_pairwise:
                    judged = evaluate(trained.model, self.choosing[place], steps.evaluate, self.seeds[place])
                    ndcg = judged.segments["all"][f"ndcg@{steps.evaluate.top}"]
                return min(trained.validation_losses), ndcg, trained.epochs

        return self._journal.outcome(key, run)

    def rehearsed(
        self, arms: Mapping[Arm, Steps], places: Mapping[str, Sequence[Split]]
    ) -> dict[str, dict[str, list[Evaluation]]]:
        """Train and judge arms as a study does, on earlier periods.

        Each chooses its passes on the first period, by the choosing users, and is trained anew up to the second one,
        where its losses are judged, on the judging users.

        Args:
            arms: Their settings.
            places: By name of the rehearsal, for every seed, the two periods.

        Returns:
            By name and arm, one evaluation per seed.
        """

        def jobs() -> Iterator[Callable[[], Evaluation]]:
            for folds, seed in (
                (one, seed) for own in places.values() for one, seed in zip(own, self.seeds, strict=True)
            ):
                half = choosing(folds.validation)
                stages = [Synthesis(half if len(half.user) else folds.validation, seed), Synthesis(folds.test, seed)]
                judges = choosing(folds.test, judge=True)
                for arm, steps in arms.items():
                    yield partial(self._as_served, arm, steps, stages, judges, seed)

        found: dict[str, dict[str, list[Evaluation]]] = {name: {arm: [] for arm in arms} for name in places}
        with ThreadPoolExecutor(self.threads) as pool:  # holds no job that is done, so events of few places at a time
            judged = pool.map(lambda job: job(), jobs())
            for own in found.values():
                for _ in self.seeds:
                    for arm in arms:
                        own[arm].append(next(judged))
        return found

    def _as_served(self, arm: Arm, steps: Steps, stages: Sequence[Synthesis], judges: Fold, seed: int) -> Evaluation:
        epochs = None
        for synthesis in stages:
            events, extra = synthesis.arm(arm, steps)
            trained = train(synthesis.fold, events, steps.train, seed, epochs=epochs, extra_real=extra)
            epochs = trained.epochs
        self._advance(1)
        return evaluate(trained.model, judges, steps.evaluate.model_copy(update={"ranked_users": 0}), seed)

    def strength(self, arm: Arm, steps: Steps, most: int) -> Search:
        """Let a conventional method choose among the first strengths of its own."""
        ranked = race(
            get_rival(arm).strengths[:most],
            len(self.seeds),
            lambda strength, place: self.rival_outcome(arm, steps, strength, place),
            self.threads,
        )
        finished = [trial for trial in ranked if len(trial.outcomes) == len(self.seeds)]
        return Search({"strength": tuple(ranked)}, best_of(finished, EQUAL).changes)

    def search(
        self,
        arm: Arm,
        steps: Steps,
        rounds: Sequence[Round],
        most: int,
        seconds: float | None = None,
        begin: Changes | None = None,
        survivors: int = SURVIVORS,
    ) -> Search:
        """Run one round after another, each from the best settings of the one before, at most `most` trials.

        In the end, of all trials whose loss is the lowest but for `EQUAL`, the one that ranks best is chosen.

        Args:
            arm: Whose settings.
            steps: Settings that changes are counted from.
            rounds: What to try.
            most: Trials, those of the settings at the beginning not counted.
            seconds: No round begins after so long; None for no limit.
            begin: Changes to begin with.
            survivors: See `race`.
        """
        began, chosen, left = time.perf_counter(), dict(begin or {}), most
        done: dict[str, tuple[Trial, ...]] = {}
        stopped = None
        for name, candidates in rounds:
            if seconds is not None and time.perf_counter() - began > seconds:
                stopped = f"the budget of {seconds:g} seconds was used up before round '{name}'"
                break
            current = steps.changed(chosen)
            fresh = [c for c in candidates(current) if any(c[key] != current.at(key) for key in c)][:left]
            if not fresh:
                continue
            left -= len(fresh)
            tried = [dict(chosen), *({**chosen, **changes} for changes in fresh)]
            ranked = race(
                tried,
                len(self.seeds),
                lambda changes, place: self.outcome(arm, steps.changed(changes), place),
                self.threads,
                survivors,
            )
            done[name], chosen = tuple(ranked), dict(ranked[0].changes)
        finished = [trial for ranked in done.values() for trial in ranked if len(trial.outcomes) == len(self.seeds)]
        if finished:
            chosen = dict(best_of(finished, EQUAL).changes)
        if left == 0 and stopped is None:
            stopped = f"the budget of {most} trials was used up"
        return Search(done, chosen, stopped)


def _known_by(fold: Fold) -> list[Any]:
    """Return what tells a fold from any other one: what is visible, what is judged, what is known about items."""
    target = fold.pair.target
    judged = combine_keys(target.users.keys[fold.user], target.items.keys[fold.item])
    inputs = [one.get("digest") for one in fold.pair.inputs if one.get("role") == "items"]
    return [fold.pair.source.digest(), target.digest(), int(np.sum(judged, dtype=np.uint64)), inputs]
