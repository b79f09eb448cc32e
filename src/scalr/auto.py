"""Choose a study's settings on the validation periods: for real events alone, then for synthetic ones, then the gate.

No test event is seen. Real events alone go first and choose what all arms share, so that augmentation starts from a
baseline that was tuned for itself. Then, where the translator is `auto`, rounds of trials choose translator, draws,
temperature, weight, shrinkage and objective; every round begins with the best settings so far, so none can lose.
Where several settings are equal by prediction error, the one that ranks best is chosen, for every arm alike.
Conventional methods choose their strength by the same races.
Another model than the reference takes the events that the reference chose and chooses rates and weights of its own.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from scalr import __version__
from scalr.arms import Synthesis
from scalr.config import RIVALS, Arm, Steps
from scalr.domain import Pair
from scalr.errors import DivergenceError
from scalr.evaluate import Evaluation, evaluate
from scalr.gate import Opening, agreed, choosing, never_open, open_segments
from scalr.kernels.hashing import combine_keys
from scalr.models import REFERENCE, get_model, settled, share_cores
from scalr.progress import Board
from scalr.rivals import Strength, get_rival, train_rival
from scalr.rounds import (
    Round,
    baseline_rounds,
    event_rounds,
    first_changes,
    for_a_control,
    model_rounds,
    weight_rounds,
    with_training_of,
)
from scalr.split import REHEARSALS, Fold, Split, rehearsal, split
from scalr.train import Trained, train
from scalr.trials import SURVIVORS, Changes, Journal, Outcome, Trial, best_of, race

AUTO = "auto"
TUNED_CONTROLS: tuple[Arm, ...] = ("oversampled_real", "random_items", "popular_items", "shuffled_users", "top1")
MOST_CONTROL_TRIALS = 4
RANKED_PAIRWISE = 100  # users whose lists are judged where a model scores a catalogue pair by pair
EQUAL = 0.001  # settings whose losses differ by less than this share are equal; then ranking chooses
HANDED_OVER = ("popularity_prior", "half_life", "synthetic_weight", "shrinkage", "objective")  # to another model


@dataclass(frozen=True, slots=True)
class Search:
    """What was tried for one arm.

    Attributes:
        rounds: By name of the round, its trials, best first; changes are counted from the settings at the beginning.
        chosen: All changes of the best settings.
        stopped: Why rounds were left out; None if none was.
    """

    rounds: Mapping[str, tuple[Trial, ...]]
    chosen: Changes
    stopped: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the search for `study.json`."""
        rounds = {name: [trial.to_json() for trial in trials] for name, trials in self.rounds.items()}
        return {"chosen": dict(self.chosen), "stopped": self.stopped, "rounds": rounds}


@dataclass(frozen=True, slots=True)
class Choice:
    """Settings that the validation periods chose.

    Attributes:
        steps: Of `scalr`; the translator is never `auto`.
        own: Of the arms that chose for themselves: `real_only`, and with the translator `auto` the controls.
        searches: What was tried, by arm.
        rehearsed: By rehearsal, for whom it opens the gate; empty without a gate.
    """

    steps: Steps
    own: Mapping[Arm, Steps]
    searches: Mapping[str, Search]
    rehearsed: Mapping[str, tuple[Opening, ...]]

    @property
    def openings(self) -> tuple[Opening, ...]:
        """Return the gate, by segment; empty without one."""
        return agreed(self.rehearsed) if self.rehearsed else ()

    def of(self, arm: Arm) -> Steps:
        """Return the settings of an arm; of a conventional method what real events alone chose."""
        return self.own["real_only"] if arm in RIVALS else self.own.get(arm, self.steps)

    def strength(self, arm: Arm) -> Strength:
        """Return a conventional method's own settings."""
        return self.searches[arm].chosen


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


def choose(pair: Pair, steps: Steps, arms: Sequence[Arm], *, journal: Journal, threads: int, board: Board) -> Choice:
    """Choose settings on the validation folds of the first seeds.

    Args:
        pair: The whole logs.
        steps: Settings to begin with; `study` says how much may be tried.
        arms: Arms of the study.
        journal: Outcomes that are known already.
        threads: Trials at a time.
        board: Shown the progress.
    """
    share_cores(steps.train.model, threads)
    seeds = range(steps.seed, steps.seed + min(steps.study.choosing_seeds, steps.study.seeds))
    folds = [split(pair, steps.split, seed).validation for seed in seeds]
    examiner = Examiner(folds, steps.seed, journal, threads, board)
    searches, is_auto = dict[str, Search](), steps.translate.translator == AUTO
    is_reference = steps.train.model == REFERENCE
    if is_auto and not is_reference:
        steps = _events_of_the_reference(examiner, steps, searches)
    steps = steps.model_copy(update={"train": settled(steps.train)})
    if get_model(steps.train.model).ranks_pairwise and steps.evaluate.ranked_users is None:
        steps = steps.changed({"evaluate.ranked_users": RANKED_PAIRWISE})
    steps = _baseline(examiner, steps, searches, "real_only")
    own: dict[Arm, Steps] = {"real_only": steps}
    later: dict[Arm, Callable[[], Search]] = {}  # what may be searched side by side
    if is_auto:
        baseline = steps.train
        if is_reference:
            steps = _events(examiner, steps, searches, "scalr")
        else:
            rounds = weight_rounds(get_model(steps.train.model).tuned)
            weighed = examiner.search("scalr", steps, rounds, steps.study.trials, steps.study.budget_seconds)
            searches["scalr"], steps = weighed, steps.changed(weighed.chosen)
        for arm in (arm for arm in TUNED_CONTROLS if arm in arms):
            # What has only real rows begins with what real rows chose; what has synthetic ones, with what those chose.
            own[arm] = with_training_of(steps, baseline) if arm == "oversampled_real" else steps
            weights: list[Round] = [("weight", partial(for_a_control, baseline=baseline))]
            later[arm] = partial(examiner.search, arm, own[arm], weights, MOST_CONTROL_TRIALS)
    for arm in (arm for arm in arms if arm in RIVALS):
        later[arm] = partial(examiner.strength, arm, own["real_only"], steps.study.rival_trials)
    with ThreadPoolExecutor(max(len(later), 1)) as pool:
        searches |= zip(later, pool.map(lambda search: search(), later.values()), strict=True)
    own |= {arm: own[arm].changed(searches[arm].chosen) for arm in TUNED_CONTROLS if arm in later}
    return Choice(steps, own, searches, _gate(examiner, pair, steps, own["real_only"], is_auto=is_auto))


def _baseline(examiner: Examiner, steps: Steps, searches: dict[str, Search], name: str) -> Steps:
    """Return the settings that real events alone choose, for all arms."""
    is_free, most = steps.train.popularity_prior is None, steps.study.baseline_trials
    if is_free:
        steps = steps.changed({"train.popularity_prior": 0.0})
    if not most:
        return steps
    if steps.train.model == REFERENCE:
        # Its trials are cheap: every candidate sees every seed, so none is lost by the luck of the first one.
        rounds, survivors = baseline_rounds(timed=examiner.is_timed, is_free=is_free), 1
    else:
        rounds, survivors = model_rounds(get_model(steps.train.model).tuned, timed=examiner.is_timed), SURVIVORS
    searches[name] = examiner.search("real_only", steps, rounds, most, survivors=survivors)
    return steps.changed(searches[name].chosen)


def _events(examiner: Examiner, steps: Steps, searches: dict[str, Search], name: str) -> Steps:
    """Return the settings by which the reference model learns most from synthetic events."""
    pair, limits = examiner.pair, steps.study
    steps = steps.changed({"refine.duplicates": "merge"})
    rounds = event_rounds(pair.target, len(pair.source))
    searches[name] = examiner.search("scalr", steps, rounds, limits.trials, limits.budget_seconds, first_changes(steps))
    return steps.changed(searches[name].chosen)


def _events_of_the_reference(examiner: Examiner, steps: Steps, searches: dict[str, Search]) -> Steps:
    """Let the reference model, which learns in seconds, choose the events; another model then weighs them."""
    rates = ("loss", "checkpoints", "learning_rate", "l2", "max_epochs", "patience")
    reference = steps.changed({"train.model": REFERENCE, **{f"train.{name}": None for name in rates}})
    reference = reference.model_copy(update={"train": settled(reference.train)})
    reference = _baseline(examiner, reference, searches, f"{REFERENCE}_real_only")
    reference = _events(examiner, reference, searches, f"{REFERENCE}_scalr")
    made = {name: getattr(reference, name) for name in ("translate", "sample", "refine")}
    return steps.model_copy(update=made).changed(
        {f"train.{name}": getattr(reference.train, name) for name in HANDED_OVER}
    )


def _gate(
    examiner: Examiner, pair: Pair, steps: Steps, baseline: Steps, *, is_auto: bool
) -> Mapping[str, tuple[Opening, ...]]:
    """Return by rehearsal for whom it opens the gate; nothing without a gate."""
    if not (is_auto if steps.study.gate is None else steps.study.gate):
        return {}
    arms: dict[Arm, Steps] = {"real_only": baseline, "scalr": steps, "shuffled_users": steps}
    places: dict[str, list[Split]] = {}
    for name in REHEARSALS:
        found = [place for seed in examiner.seeds if (place := rehearsal(name, pair, steps.split, seed)) is not None]
        if len(found) == len(examiner.seeds) and all(
            len(place.validation.user) and len(choosing(place.test, judge=True).user) for place in found
        ):
            places[name] = found
    judged = examiner.rehearsed(arms, places)
    return {name: open_segments(judged[name]) if name in judged else never_open() for name in REHEARSALS}
