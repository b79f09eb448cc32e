"""Choose a study's settings on the validation periods: for real events alone, then for synthetic ones, then the gate.

No test event is seen. Real events alone go first and choose what all arms share, so that augmentation starts from a
baseline that was tuned for itself. Then, where the translator is `auto`, rounds of trials choose translator, draws,
temperature, weight, shrinkage and objective; every round begins with the best settings so far, so none can lose.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from scalr import __version__
from scalr.arms import Synthesis
from scalr.config import Arm, Steps, TrainSettings
from scalr.domain import EventLog
from scalr.errors import DivergenceError
from scalr.evaluate import Evaluation, evaluate
from scalr.gate import SEGMENTS, Opening, choosing, open_segments
from scalr.kernels.hashing import combine_keys
from scalr.progress import Board
from scalr.split import Fold
from scalr.times import MICROSECONDS_PER_DAY
from scalr.train import train
from scalr.trials import Changes, Journal, Outcome, Trial, race

AUTO = "auto"
PRIORS = (0.0, 0.5, 1.0)
HALF_LIVES = (0.5, 0.2, 0.1, 0.05)
WINDOWS = (0.01, 0.04, 0.16)  # from source to target event, as shares of the time that the target log spans
LAWS: tuple[Changes, ...] = tuple(
    {"translate.translator": name, "sample.draws_per_event": draws, "sample.temperature": temperature}
    for name, draws, temperature in (
        ("cooccurrence", 4, 1.0),
        ("conditioned", 4, 1.0),
        ("conditioned", 4, 0.5),
        ("factor", 1, 1.0),
        ("cooccurrence", 4, 0.5),
        ("factor", 4, 1.0),
    )
)
TUNED_CONTROLS: tuple[Arm, ...] = ("oversampled_real", "random_items", "popular_items", "shuffled_users", "top1")
MOST_CONTROL_TRIALS = 4
LARGEST_STEP_SIZE = 0.2  # beyond which training comes near to diverging
MOST_DRAWS = 4_000_000  # of a trial, where more draws per event are tried

Round = tuple[str, Callable[[Steps], Sequence[Changes]]]


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
        openings: The gate, by segment; empty without one.
    """

    steps: Steps
    own: Mapping[Arm, Steps]
    searches: Mapping[str, Search]
    openings: tuple[Opening, ...]

    def of(self, arm: Arm) -> Steps:
        """Return the settings of an arm."""
        return self.own.get(arm, self.steps)


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
        self.judging = [choosing(fold, judge=True) for fold in folds]
        self.seeds = [first_seed + place for place in range(len(folds))]
        self.threads, self._journal = threads, journal
        self._synthesis = [Synthesis(fold, seed) for fold, seed in zip(folds, self.seeds, strict=True)]
        self._logs = [_known_by(fold) for fold in folds]
        self._advance = board.stage("choosing settings", unit="trials")

    def outcome(self, arm: Arm, steps: Steps, place: int) -> Outcome:
        """Train an arm with the seed of that number; its loss is that on the choosing users."""
        sections = ("train",) if arm == "real_only" else ("translate", "sample", "refine", "train")
        key = {
            "scalr": __version__,
            "arm": arm,
            "logs": self._logs[place],
            "seed": self.seeds[place],
            "split": steps.split.model_dump(mode="json"),
            "settings": {name: getattr(steps, name).model_dump(mode="json") for name in sections},
        }

        def run() -> tuple[float, int]:
            events, extra = self._synthesis[place].arm(arm, steps)
            self._advance(1)
            try:
                trained = train(self.choosing[place], events, steps.train, self.seeds[place], extra_real=extra)
            except DivergenceError:
                return math.inf, 0
            return min(trained.validation_losses), trained.epochs

        return self._journal.outcome(key, run)

    def judged(self, arm: Arm, steps: Steps) -> list[Evaluation]:
        """Train an arm with every seed, passes chosen by the choosing users, and evaluate it on the judging ones."""
        found = []
        for place, seed in enumerate(self.seeds):
            events, extra = self._synthesis[place].arm(arm, steps)
            trained = train(self.choosing[place], events, steps.train, seed, extra_real=extra)
            found.append(evaluate(trained.model, self.judging[place], steps.evaluate, seed))
            self._advance(1)
        return found

    def search(
        self,
        arm: Arm,
        steps: Steps,
        rounds: Sequence[Round],
        most: int,
        seconds: float | None = None,
        begin: Changes | None = None,
    ) -> Search:
        """Run one round after another, each from the best settings of the one before, at most `most` trials.

        Args:
            arm: Whose settings.
            steps: Settings that changes are counted from.
            rounds: What to try.
            most: Trials, those of the settings at the beginning not counted.
            seconds: No round begins after so long; None for no limit.
            begin: Changes to begin with.
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
            )
            done[name], chosen = tuple(ranked), dict(ranked[0].changes)
        if left == 0 and stopped is None:
            stopped = f"the budget of {most} trials was used up"
        return Search(done, chosen, stopped)


def _known_by(fold: Fold) -> list[Any]:
    """Return what tells a fold from any other one: what is visible, what is judged, what is known about items."""
    target = fold.pair.target
    judged = combine_keys(target.users.keys[fold.user], target.items.keys[fold.item])
    inputs = [one.get("digest") for one in fold.pair.inputs if one.get("role") == "items"]
    return [fold.pair.source.digest(), target.digest(), int(np.sum(judged, dtype=np.uint64)), inputs]


def choose(
    folds: Sequence[Fold], steps: Steps, arms: Sequence[Arm], *, journal: Journal, threads: int, board: Board
) -> Choice:
    """Choose settings on validation folds.

    Args:
        folds: Validation folds of the first seeds.
        steps: Settings to begin with; `study` says how much may be tried.
        arms: Arms of the study.
        journal: Outcomes that are known already.
        threads: Trials at a time.
        board: Shown the progress.
    """
    examiner = Examiner(folds, steps.seed, journal, threads, board)
    limits, searches = steps.study, dict[str, Search]()
    is_auto, pair = steps.translate.translator == AUTO, folds[0].pair
    if steps.train.popularity_prior is None and not limits.baseline_trials:
        steps = steps.changed({"train.popularity_prior": 0.0})
    if limits.baseline_trials:
        rounds = _baseline_rounds(steps, timed=pair.target.time is not None)
        steps = steps if steps.train.popularity_prior is not None else steps.changed({"train.popularity_prior": 0.0})
        found = examiner.search("real_only", steps, rounds, limits.baseline_trials)
        searches["real_only"], steps = found, steps.changed(found.chosen)
    own: dict[Arm, Steps] = {"real_only": steps}
    if is_auto:
        baseline = steps.train
        steps = steps.changed({"refine.duplicates": "merge"})
        found = examiner.search(
            "scalr", steps, _rounds(pair.target, len(pair.source)), limits.trials, limits.budget_seconds, _first(steps)
        )
        searches["scalr"], steps = found, steps.changed(found.chosen)
        for arm in (arm for arm in TUNED_CONTROLS if arm in arms):
            # What has only real rows begins with what real rows chose; what has synthetic ones, with what those chose.
            begin = _with_training_of(steps, baseline) if arm == "oversampled_real" else steps
            weights: list[Round] = [("weight", partial(_for_a_control, baseline=baseline))]
            searches[arm] = examiner.search(arm, begin, weights, MOST_CONTROL_TRIALS)
            own[arm] = begin.changed(searches[arm].chosen)
    return Choice(steps, own, searches, _gate(examiner, steps, own["real_only"], is_auto=is_auto))


def _gate(examiner: Examiner, steps: Steps, baseline: Steps, *, is_auto: bool) -> tuple[Opening, ...]:
    if not (is_auto if steps.study.gate is None else steps.study.gate):
        return ()
    if not all(len(fold.user) for fold in examiner.judging):
        return tuple(Opening(segment, False, 0, math.nan, math.nan, math.nan) for segment in SEGMENTS)
    judged = {"real_only": examiner.judged("real_only", baseline)}
    judged |= {arm: examiner.judged(arm, steps) for arm in ("scalr", "shuffled_users")}
    return open_segments(judged)


def _baseline_rounds(steps: Steps, *, timed: bool) -> list[Round]:
    priors: list[Changes] = [{"train.popularity_prior": prior} for prior in PRIORS]
    free = steps.train.popularity_prior is None
    rounds: list[Round] = [("popularity", lambda now: priors)] if free else []
    if timed:
        rounds.append(("half-life", lambda now: [{"train.half_life": share} for share in HALF_LIVES]))
        rounds += [("popularity again", lambda now: priors)] if free else []
    rounds.append(("penalty", lambda now: [{"train.l2": now.train.l2 * factor} for factor in (2.0, 0.5)]))
    rounds.append(("step", lambda now: [{"train.learning_rate": now.train.learning_rate * f} for f in (0.5, 2.0)]))
    for name in ("half_life", "l2", "learning_rate"):
        rounds.append((f"finer {name.replace('_', '-')}", partial(_finer, name=f"train.{name}")))
    if free:
        rounds.append(("finer popularity", _finer_priors))
    return rounds


def _finer(now: Steps, name: str) -> list[Changes]:
    value = now.at(name)
    finer = [] if value is None else [_rounded(value * factor) for factor in (0.7, 1.4)]
    return [{name: one} for one in finer if name != "train.learning_rate" or one <= LARGEST_STEP_SIZE]


def _finer_priors(now: Steps) -> list[Changes]:
    prior = now.train.popularity_prior or 0.0
    return [{"train.popularity_prior": one} for one in (prior - 0.25, prior + 0.25) if 0 <= one <= 1]


def _rounds(log: EventLog, n_events: int) -> list[Round]:
    """Return the rounds for synthetic events; windows need a target log whose times are days."""
    rounds: list[Round] = [("law", lambda now: LAWS), ("strength", _strengths)]
    rounds.append(("neighbours", partial(_neighbours, n_events=n_events)))
    if log.time is not None and log.time_unit is not None and log.time_unit.kind != "order":
        days = (int(log.time.max()) - int(log.time.min())) / MICROSECONDS_PER_DAY
        windows = [{"translate.window_days": _rounded(share * days)} for share in WINDOWS if share * days > 0]
        rounds.append(("window", lambda now: [] if now.translate.translator == "factor" else windows))
    return [*rounds, ("law again", _laws_again)]


def _first(steps: Steps) -> Changes:
    """Return where the rounds begin, all that they change in words: the first law, at the weights that were given."""
    names = ("synthetic_weight", "shrinkage", "synthetic_penalty")
    return {**LAWS[0], **{f"train.{name}": getattr(steps.train, name) for name in names}}


def _strengths(now: Steps) -> list[Changes]:
    weight = now.train.synthetic_weight
    return [
        {"train.shrinkage": None},
        {"train.shrinkage": None, "train.l2": now.train.l2 / 2, "train.synthetic_penalty": 1.0},
        {"train.synthetic_penalty": 0.5},
        {"train.shrinkage": 1.0},
        {"train.synthetic_weight": _rounded(weight / 3)},
        {"train.synthetic_weight": _rounded(weight * 3)},
    ]


def _neighbours(now: Steps, n_events: int) -> list[Changes]:
    draws, weight, temperature = now.sample.draws_per_event, now.train.synthetic_weight, now.sample.temperature
    more: list[Changes] = [
        {"sample.draws_per_event": 2 * draws},
        {"sample.draws_per_event": 4 * draws, "train.synthetic_weight": _rounded(weight / 2)},
    ]
    return [
        *(changes for changes in more if changes["sample.draws_per_event"] * n_events <= MOST_DRAWS),
        {"train.synthetic_weight": _rounded(weight / 2)},
        {"train.synthetic_weight": _rounded(weight * 2)},
        {"train.shrinkage": 4.0 if now.train.shrinkage is None else None},
        {"sample.temperature": _rounded(temperature * 0.7)},
        {"sample.temperature": _rounded(temperature / 0.7)},
        {"train.objective": "joint"},
    ]


def _laws_again(now: Steps) -> list[Changes]:
    others = [law for law in LAWS if law["translate.translator"] != now.translate.translator]
    first = {law["translate.translator"]: law for law in reversed(others)}
    names = [
        {"translate.translator": name, "translate.window_days": None if name == "factor" else now.translate.window_days}
        for name in first
    ]
    return [*names, {"translate.backoff": 3.0}]


def _for_a_control(now: Steps, baseline: TrainSettings) -> list[Changes]:
    weight = now.train.synthetic_weight
    return [
        {"train.synthetic_weight": _rounded(weight / 3)},
        {"train.synthetic_weight": _rounded(weight * 3)},
        {f"train.{name}": getattr(baseline, name) for name in ("l2", "shrinkage", "synthetic_penalty")},
    ]


def _with_training_of(steps: Steps, train: TrainSettings) -> Steps:
    weight = steps.train.synthetic_weight
    return steps.model_copy(update={"train": train.model_copy(update={"synthetic_weight": weight})})


def _rounded(value: float) -> float:
    """Return two significant digits, which people can read and repeat."""
    return float(f"{value:.2g}")
